/* SPDX-License-Identifier: MIT */
/* A client's messages as bytes and fds, with a limit to how long each wait lasts. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "client_internal.h"
#include "common/fds.h"
#include "common/unix_address.h"

#define NSEC		1000000000ULL
#define NSEC_PER_MSEC	1000000ULL

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NSEC + time.tv_nsec;
}

uint64_t client_deadline(int ms)
{
	return ms < 0 ? NO_DEADLINE : now() + ms * NSEC_PER_MSEC;
}

static uint64_t left(uint64_t deadline)
{
	uint64_t time = now();

	return deadline > time ? deadline - time : 0;
}

bool client_is_late(uint64_t deadline)
{
	return deadline != NO_DEADLINE && !left(deadline);
}

int client_fail(struct vdb_client *client, int error, const char *why)
{
	snprintf(client->error, sizeof(client->error), "%s", why);
	errno = error;
	return -1;
}

int client_break_off(struct vdb_client *client, int error, const char *why)
{
	client->broken = true;
	/* The broker then ends all leases of this client, also those that it does not know of. */
	shutdown(client->socket, SHUT_RDWR);
	return client_fail(client, error, why);
}

int client_connect_socket(const char *path, uint64_t deadline)
{
	struct sockaddr_un address;
	int fd, ret;

	if (unix_address(path, &address))
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	do {
		/*
		 * Only this limits a wait for room in the listener's queue. poll() does
		 * not report that.
		 */
		uint64_t time = deadline == NO_DEADLINE ? 0 : left(deadline) + 1000;
		struct timeval limit = { .tv_sec = time / NSEC, .tv_usec = time % NSEC / 1000 };

		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		ret = connect(fd, (struct sockaddr *)&address, sizeof(address));
	} while (ret && errno == EINTR && !client_is_late(deadline));
	if (!ret)
		return fd;
	if (errno == EAGAIN || errno == EINTR)
		errno = ETIMEDOUT;
	fd_close(fd);
	return -1;
}

bool client_wait(struct vdb_client *client, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = client->socket, .events = events };
	int ret;

	do {
		uint64_t time = left(deadline);
		struct timespec limit = { .tv_sec = time / NSEC, .tv_nsec = time % NSEC };

		ret = ppoll(&p, 1, deadline == NO_DEADLINE ? NULL : &limit, NULL);
	} while (ret < 0 && errno == EINTR);
	return ret != 0;
}

void client_close_fds(struct message *m)
{
	fds_close(m->fds, VDP_MAX_FDS);
}

bool client_is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* Those that begin with the lease's id. */
static bool is_about_lease(uint32_t type)
{
	return type == (VDP_ACQUIRE | VDP_ANSWER) || type == VDP_GRANT || type == VDP_STATE || type == VDP_END;
}

/* The fds that a message of this type has. */
static int fds_of(const struct message *m)
{
	if (m->body.header.type != VDP_GRANT)
		return 0;
	return 2 + !!m->body.grant.memory + !!(m->body.grant.flags & VDP_INTERRUPT);
}

static const char *check(const struct message *m, size_t size)
{
	bool grant = m->body.header.type == VDP_GRANT;
	struct message_size sizes;
	int nr_fds = 0;

	while (nr_fds < VDP_MAX_FDS && m->fds[nr_fds] >= 0)
		nr_fds++;

	if (size < sizeof(m->body.header))
		return "the broker's message has no header";
	if (m->body.header.type < VDP_ANSWER || !message_size(m->body.header.type, &sizes))
		return "the broker's message has a type that this library does not know";
	if (size < sizes.least)
		return "the broker's message is too short for its type";
	if (message_unknown(&m->body, sizes.known, size) < size)
		return "the broker's message has fields that this library does not know";
	if (m->body.header.item && (m->body.header.type & ~0xffu) != VDP_ITEM)
		return "the broker's message has a wrong header";
	if (is_about_lease(m->body.header.type) && !m->body.state.lease)
		return "the broker's message is about a lease without an id";
	if (m->lost ? !grant : nr_fds != fds_of(m))
		return "the broker's message does not have the file descriptors of its type";
	return NULL;
}

/* 1; 0: there is none now, or, without MSG_DONTWAIT, within the socket's time. */
static int receive(struct vdb_client *client, struct message *m, int flags)
{
	const char *wrong;
	ssize_t size;

	memset(m->body.bytes, 0, sizeof(m->body.bytes));
	/*
	 * The kernel reports this once if the broker closed without reading everything.
	 * What the broker has sent comes next.
	 */
	do {
		size = fds_receive(client->socket, m->body.bytes, sizeof(m->body.bytes), m->fds,
				       VDP_MAX_FDS, flags, &m->lost);
	} while (size < 0 && errno == ECONNRESET);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size < 0 && errno == EPROTO)
		return client_break_off(client, EPROTO, "the broker's message is too long or has too many file descriptors");
	if (size < 0)
		return client_break_off(client, ENOTCONN, "the connection to the broker is lost");
	if (!size)
		return client_break_off(client, ENOTCONN, "the broker has closed the connection");
	wrong = check(m, size);
	if (wrong) {
		client_close_fds(m);
		return client_break_off(client, EPROTO, wrong);
	}
	return 1;
}

/* How much later than its deadline a call may return. */
#define SLACK	(NSEC_PER_MSEC)

void client_limit_socket(struct vdb_client *client)
{
	int ms = client->timeout_ms < 0 ? 0 : client->timeout_ms;
	const struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	/* 0 is no limit, for the kernel. */
	client->limited = client->timeout_ms &&
			  !setsockopt(client->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* Whether the socket itself ends a wait in time, which saves a call of poll(). */
static bool ends_in_time(const struct vdb_client *client, uint64_t deadline)
{
	if (!client->limited || (deadline == NO_DEADLINE) != (client->timeout_ms < 0))
		return false;
	return deadline == NO_DEADLINE ||
	       left(deadline) + SLACK >= client->timeout_ms * NSEC_PER_MSEC;
}

int client_receive(struct vdb_client *client, struct message *m, uint64_t deadline)
{
	int ret;

	if (client->broken)
		return client_fail(client, ENOTCONN, "the connection to the broker has ended");
	if (deadline && ends_in_time(client, deadline)) {
		ret = receive(client, m, 0);
		if (ret)
			return ret;
	}
	/* An answer is almost never there already, so this waits before it looks. */
	if (deadline && !client_wait(client, POLLIN, deadline))
		return 0;
	do {
		ret = receive(client, m, MSG_DONTWAIT);
	} while (!ret && deadline && client_wait(client, POLLIN, deadline));
	return ret;
}

int client_send_now(struct vdb_client *client, struct vdp_header *header, uint32_t type, size_t size)
{
	ssize_t sent;

	if (client->broken)
		return client_fail(client, ENOTCONN, "the connection to the broker has ended");
	*header = (struct vdp_header){ .type = type, .serial = client->serial + 1 };
	do {
		sent = send(client->socket, header, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return 0;
	/*
	 * A broker that has closed the connection can have sent the reason, which is
	 * received next.
	 */
	if (sent < 0 && errno != EPIPE && errno != ECONNRESET)
		return client_break_off(client, ENOTCONN, "the connection to the broker is lost");
	client->serial++;
	return 1;
}
