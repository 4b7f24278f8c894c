/* SPDX-License-Identifier: MIT */
/* A client of the broker: its connection and its leases. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client_internal.h"
#include "common/fds.h"

static_assert(VDB_ANY_INDEX == VDP_ANY_INDEX, "same number");

static const char too_small[] = "the program's struct is smaller than the library's first one";


static int say_hello(struct vdb_client *client, uint64_t deadline)
{
	struct vdp_hello hello = {
		.min_version = VDP_VERSION,
		.max_version = VDP_VERSION,
	};
	struct message m;

	snprintf(hello.name, sizeof(hello.name), "%s", program_invocation_short_name);
	if (client_send(client, &hello.header, VDP_HELLO, sizeof(hello), deadline) ||
	    client_answer(client, hello.header.serial, &m, deadline))
		return -1;
	if (m.body.header.type != (VDP_HELLO | VDP_ANSWER) || m.body.hello.version != VDP_VERSION)
		return client_break_off(client, EPROTO, "the broker's answer does not fit the hello");
	return 0;
}

static int watch(struct vdb_client *client, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int connect_client(struct vdb_client *client, const char *path)
{
	uint64_t deadline = client_deadline(client->timeout_ms);

	client->pending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	client->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (client->pending < 0 || client->epoll < 0)
		return -1;
	client->socket = client_connect_socket(path, deadline);
	if (client->socket < 0 || watch(client, client->socket) || watch(client, client->pending))
		return -1;
	client_limit_socket(client);
	return say_hello(client, deadline);
}

struct vdb_client *vdb_client_connect(const char *path, int timeout_ms,
				      char error[VDB_ERROR_SIZE])
{
	struct vdb_client *client = calloc(1, sizeof(*client));

	if (client) {
		client->timeout_ms = timeout_ms;
		client->socket = client->pending = client->epoll = -1;
		if (!connect_client(client, path ?: VDB_BROKER_SOCKET))
			return client;
	}
	if (error)
		snprintf(error, VDB_ERROR_SIZE, "%s",
			 client && *client->error ? client->error : strerror(errno));
	vdb_client_close(client);
	return NULL;
}

void vdb_client_set_timeout(struct vdb_client *client, int timeout_ms)
{
	client->timeout_ms = timeout_ms;
	client_limit_socket(client);
}

void vdb_client_close(struct vdb_client *client)
{
	int error = errno;

	if (!client)
		return;
	fd_close(client->epoll);
	fd_close(client->pending);
	fd_close(client->socket);
	while (client->leases)
		client_forget_lease(client, client->leases);
	free(client->news);
	free(client);
	errno = error;
}

int vdb_client_fd(const struct vdb_client *client)
{
	return client->epoll;
}

const char *vdb_client_error(const struct vdb_client *client)
{
	return client->error;
}

/* The request, sent before the deadline; NULL with errno. */
static struct known_lease *ask(struct vdb_client *client, const char *name, uint32_t index,
			       unsigned int flags, uint32_t seconds, uint32_t wait_ms,
			       uint64_t deadline)
{
	struct vdp_acquire acquire = {
		.index = index,
		.flags = flags,
		.seconds = seconds,
		.wait_ms = wait_ms,
	};
	struct known_lease *lease;

	if (strlen(name) >= sizeof(acquire.name)) {
		client_fail(client, ENOENT, "the name of a slice has at most 63 characters");
		return NULL;
	}
	strcpy(acquire.name, name);
	lease = client_add_request(client);
	if (!lease) {
		client_fail(client, ENOMEM, "there is no memory for the request");
		return NULL;
	}
	if (client_send(client, &acquire.header, VDP_ACQUIRE, sizeof(acquire), deadline)) {
		client_forget_lease(client, lease);
		return NULL;
	}
	lease->request = acquire.header.serial;
	return lease;
}

/* The outcome of a request, for the caller. A refused request is forgotten. */
static void report(struct vdb_client *client, struct known_lease *lease, struct vdb_event *event)
{
	*event = (struct vdb_event){
		.type = lease->error ? VDB_EVENT_REFUSED : VDB_EVENT_GRANTED,
		.error = lease->error,
		.request = lease->request,
		.lease = lease->lease.id,
		.index = lease->lease.index,
		.seconds = lease->lease.seconds,
		.slice = lease->lease.slice,
		.memory = lease->lease.memory,
		.interrupt = lease->lease.interrupt,
	};
	lease->decided = false;
	lease->lease.slice = lease->lease.memory = NULL;
	lease->lease.interrupt = -1;
	if (!lease->error)
		return;
	client_fail(client, lease->error, lease->text);
	client_forget_lease(client, lease);
}

int vdb_client_acquire_sized(struct vdb_client *client, const char *name,
			     uint32_t index, unsigned int flags, uint32_t seconds,
			     uint32_t wait_ms, struct vdb_lease *lease, size_t size)
{
	uint64_t deadline = client_deadline(client->timeout_ms);
	struct known_lease *asked;
	struct vdb_event event;
	struct vdb_lease got;
	struct message m;

	if (!vdb_is_size(size, VDB_FIRST_LEASE))
		return client_fail(client, EINVAL, too_small);
	if (deadline != NO_DEADLINE)
		deadline += wait_ms * 1000000ULL;
	asked = ask(client, name, index, flags, seconds, wait_ms, deadline);
	if (!asked)
		return -1;
	asked->awaited = true;
	while (!asked->decided) {
		uint64_t answers;
		int ret = client_receive(client, &m, deadline);

		if (ret > 0)
			ret = client_take(client, &m, &answers) ?: 1;
		if (ret < 0) {
			client_forget_lease(client, asked);
			return -1;
		}
		if (!asked->decided && (!ret || client_is_late(deadline))) {
			client_unwant(client, asked);
			return client_fail(client, ETIMEDOUT, "the broker did not answer in time");
		}
	}
	asked->awaited = false;
	got = asked->lease;
	report(client, asked, &event);
	if (event.error)
		return -1;
	/* A program with a shorter struct does not know these, and would not free them. */
	if (size < VDB_UP_TO(vdb_lease, memory))
		vdb_slice_free(got.memory);
	if (size < VDB_UP_TO(vdb_lease, interrupt))
		fds_close(&got.interrupt, 1);
	vdb_fill(lease, size, &got, sizeof(got));
	return 0;
}

int vdb_client_acquire_start(struct vdb_client *client, const char *name,
			     uint32_t index, unsigned int flags, uint32_t seconds,
			     uint32_t wait_ms, uint64_t *request)
{
	struct known_lease *lease = ask(client, name, index, flags, seconds, wait_ms, 0);

	if (!lease) {
		if (errno == ETIMEDOUT)
			client_fail(client, EAGAIN, "the broker does not read requests now; try later");
		return -1;
	}
	*request = lease->request;
	return 0;
}

int vdb_client_acquire_cancel(struct vdb_client *client, uint64_t request)
{
	struct known_lease *lease = request ? client_find_request(client, request) : NULL;

	client->error[0] = '\0';
	if (!lease || lease->status == LEASE_UNWANTED || (lease->status == LEASE_HELD && !lease->decided))
		return client_fail(client, ENOENT, "there is no such request, or its outcome has been reported");
	if (lease->decided && lease->error)
		client_forget_lease(client, lease);
	else
		client_unwant(client, lease);
	return 0;
}

static int end_lease(struct vdb_client *client, uint32_t type, uint64_t lease)
{
	struct vdp_lease_request end = { .lease = lease };
	struct message m;

	return client_request(client, &end.header, type, sizeof(end), VDP_END, &m);
}

int vdb_client_release(struct vdb_client *client, uint64_t id)
{
	struct known_lease *lease = client_find_lease(client, id);
	int ret;

	if (lease)
		lease->awaited = true;
	ret = end_lease(client, VDP_RELEASE, id);
	/* Messages that were read meanwhile can have freed the record. */
	lease = client_find_lease(client, id);
	if (lease && ret)
		client_await_no_more(client, lease);
	else if (lease)
		client_forget_lease(client, lease);
	return ret;
}

int vdb_client_revoke(struct vdb_client *client, uint64_t lease)
{
	return end_lease(client, VDP_REVOKE, lease);
}

int64_t vdb_client_renew(struct vdb_client *client, uint64_t lease,
			 uint32_t seconds)
{
	struct vdp_renew renew = { .lease = lease, .seconds = seconds };
	struct message m;

	if (client_request(client, &renew.header, VDP_RENEW, sizeof(renew),
			   VDP_RENEW | VDP_ANSWER, &m))
		return -1;
	return m.body.renew.seconds;
}

/* 1 and the event of the oldest lease that has one; else 0. */
static int next_pending(struct vdb_client *client, void *found)
{
	struct vdb_event *event = found;
	struct known_lease *lease = client->leases;

	while (lease && !lease->decided && !lease->changed)
		lease = lease->next;
	if (!lease) {
		client_be_quiet(client);
		return 0;
	}
	if (lease->decided) {
		report(client, lease, event);
		return 1;
	}
	*event = (struct vdb_event){
		.lease = lease->id, .state = lease->state, .end = lease->end, .interrupt = -1,
	};
	lease->changed = false;
	if (lease->state == VDB_STATE_REVOKED)
		client_forget_lease(client, lease);
	return 1;
}

int vdb_client_next_sized(struct vdb_client *client, struct vdb_event *event, size_t size)
{
	struct vdb_event found = { .interrupt = -1 };
	int ret;

	client->error[0] = '\0';
	if (!vdb_is_size(size, VDB_FIRST_EVENT))
		return client_fail(client, EINVAL, too_small);
	ret = client_next(client, next_pending, &found);
	/* A program with a shorter struct does not know these, and would not free them. */
	if (size < VDB_UP_TO(vdb_event, memory))
		vdb_slice_free(found.memory);
	if (size < VDB_UP_TO(vdb_event, interrupt))
		fds_close(&found.interrupt, 1);
	if (ret > 0)
		vdb_fill(event, size, &found, sizeof(found));
	return ret;
}
