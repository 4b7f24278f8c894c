/* SPDX-License-Identifier: MIT */
/* A client's messages as bytes and fds, with a limit to how long each wait lasts. */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client_internal.h"

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "messages are used as they come");

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
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
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
	vdb_close(fd);
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
	for (int i = 0; i < VDP_MAX_FDS; i++) {
		vdb_close(m->fds[i]);
		m->fds[i] = -1;
	}
}

bool client_is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* The minimum size of a message, and the size that is known here; 0: there is no such message. */
static size_t least_of(uint32_t type, size_t *known)
{
#define MESSAGE(bytes, what) do { *known = sizeof(struct what); return bytes; } while (0)
	switch (type) {
	case VDP_HELLO | VDP_ANSWER:	MESSAGE(24, vdp_hello_answer);
	case VDP_ACQUIRE | VDP_ANSWER:	MESSAGE(24, vdp_acquire_answer);
	case VDP_RENEW | VDP_ANSWER:	MESSAGE(24, vdp_renew_answer);
	case VDP_STATUS | VDP_ANSWER:	MESSAGE(272, vdp_status_answer);
	case VDP_LIST_SLICES | VDP_ANSWER:
	case VDP_LIST_LEASES | VDP_ANSWER:
	case VDP_LIST_DEVICES | VDP_ANSWER:
	case VDP_LIST_ACCOUNTS | VDP_ANSWER:
	case VDP_RELOAD | VDP_ANSWER:	MESSAGE(16, vdp_plain);
	case VDP_LIST_SLICES | VDP_ITEM:	MESSAGE(144, vdp_slice_item);
	case VDP_LIST_LEASES | VDP_ITEM:	MESSAGE(224, vdp_lease_item);
	case VDP_LIST_DEVICES | VDP_ITEM:	MESSAGE(304, vdp_device_item);
	case VDP_LIST_ACCOUNTS | VDP_ITEM:	MESSAGE(56, vdp_account_item);
	case VDP_GRANT:			MESSAGE(72, vdp_grant);
	case VDP_STATE:			MESSAGE(32, vdp_state);
	case VDP_END:			MESSAGE(40, vdp_end);
	case VDP_ERROR:			MESSAGE(216, vdp_error);
	default:			return 0;
	}
#undef MESSAGE
}

/* Those that begin with the lease's id. */
static bool is_about_lease(uint32_t type)
{
	return type == (VDP_ACQUIRE | VDP_ANSWER) || type == VDP_GRANT || type == VDP_STATE || type == VDP_END;
}

static const char *check(const struct message *m, size_t size)
{
	bool grant = m->header.type == VDP_GRANT;
	int nr_fds = (m->fds[0] >= 0) + (m->fds[1] >= 0);
	size_t known, least;

	if (size < sizeof(m->header))
		return "the broker's message has no header";
	least = least_of(m->header.type, &known);
	if (!least)
		return "the broker's message has a type that this library does not know";
	if (size < least)
		return "the broker's message is too short for its type";
	for (size_t i = known; i < size; i++)
		if (m->bytes[i])
			return "the broker's message has fields that this library does not know";
	if (m->header.item && (m->header.type & ~0xffu) != VDP_ITEM)
		return "the broker's message has a wrong header";
	if (is_about_lease(m->header.type) && !m->state.lease)
		return "the broker's message is about a lease without an id";
	if (m->lost ? !grant : nr_fds != (grant ? VDP_MAX_FDS : 0))
		return "the broker's message has not the file descriptors of its type";
	return NULL;
}

/* 1; 0: there is none now. */
static int receive_now(struct vdb_client *client, struct message *m)
{
	const char *wrong;
	ssize_t size;

	memset(m->bytes, 0, sizeof(m->bytes));
	/*
	 * Reported once if the broker closed without reading everything. What it sent
	 * comes next.
	 */
	do {
		size = vdb_receive_fds(client->socket, m->bytes, sizeof(m->bytes), m->fds,
				       VDP_MAX_FDS, MSG_DONTWAIT, &m->lost);
	} while (size < 0 && errno == ECONNRESET);
	if (size < 0 && errno == EAGAIN)
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

int client_receive(struct vdb_client *client, struct message *m, uint64_t deadline)
{
	int ret;

	if (client->broken)
		return client_fail(client, ENOTCONN, "the connection to the broker has ended");
	/* The answer is hardly ever there already, so wait before receiving. */
	if (deadline && !client_wait(client, POLLIN, deadline))
		return 0;
	do {
		ret = receive_now(client, m);
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
