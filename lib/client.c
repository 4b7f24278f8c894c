/* SPDX-License-Identifier: MIT */
/*
 * A client of the broker.  The protocol is in vfio-dmabuf-protocol.h.
 *
 * Requests wait for their answer; events that come meanwhile are kept with the
 * lease that they are about, the last one each, and an eventfd says that there
 * are some.  That and the socket are behind the one fd that the caller polls.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vfio-dmabuf-protocol.h>
#include "internal.h"

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "messages are used as they come");

struct known_lease {
	uint64_t id;
	bool pending;			/* there is an event to tell */
	struct vdb_event event;
};

struct vdb_client {
	int socket;
	int pending;			/* eventfd: readable if a lease's pending is set */
	int epoll;			/* of both */
	bool broken;			/* nothing more will be understood */
	uint32_t serial;
	struct known_lease *leases;
	size_t nr_leases;
	char error[sizeof(((struct vdp_error *)0)->text)];
};

/* One received message. */
struct message {
	union {
		struct vdp_header header;
		struct vdp_hello_answer hello;
		struct vdp_acquire_answer acquire;
		struct vdp_renew_answer renew;
		struct vdp_slice_item slice;
		struct vdp_lease_item lease;
		struct vdp_device_item device;
		struct vdp_event event;
		struct vdp_error error;
		char bytes[VDP_MAX_MESSAGE];
	};
	size_t size;
	int fds[VDP_MAX_FDS];
	bool lost;			/* it had fds that could not be opened here */
};

static void close_fds(struct message *m)
{
	for (int i = 0; i < VDP_MAX_FDS; i++) {
		vdb_close(m->fds[i]);
		m->fds[i] = -1;
	}
}

static int break_off(struct vdb_client *client, int error, const char *why)
{
	client->broken = true;
	snprintf(client->error, sizeof(client->error), "%s", why);
	errno = error;
	return -1;
}

/* 1: a message; 0: none without waiting; -1 with errno. */
static int receive(struct vdb_client *client, struct message *m, int flags)
{
	ssize_t size;

	if (client->broken) {
		errno = ENOTCONN;
		return -1;
	}
	/* Told once if the broker went without reading all; its last words come next. */
	do {
		size = vdb_receive_fds(client->socket, m->bytes, sizeof(m->bytes), m->fds,
				       VDP_MAX_FDS, flags, &m->lost);
	} while (size < 0 && errno == ECONNRESET);
	if (size < 0) {
		if (errno == EAGAIN && flags & MSG_DONTWAIT)
			return 0;
		if (errno == EPROTO)
			return break_off(client, EPROTO, "the broker's message is too long or has too many fds");
		return break_off(client, ENOTCONN, "the connection to the broker is lost");
	}
	if (!size)
		return break_off(client, ENOTCONN, "the broker has closed the connection");
	m->size = size;
	if (m->size < sizeof(m->header) || m->header.reserved) {
		close_fds(m);
		return break_off(client, EPROTO, "the broker's message has no valid header");
	}
	return 1;
}

static struct known_lease *find_lease(struct vdb_client *client, uint64_t id)
{
	for (size_t i = 0; i < client->nr_leases; i++)
		if (client->leases[i].id == id)
			return &client->leases[i];
	return NULL;
}

static void forget_lease(struct vdb_client *client, uint64_t id)
{
	struct known_lease *lease = find_lease(client, id);

	if (lease)
		*lease = client->leases[--client->nr_leases];
}

static bool know_lease(struct vdb_client *client, uint64_t id)
{
	struct known_lease *leases;

	leases = realloc(client->leases, (client->nr_leases + 1) * sizeof(*leases));
	if (!leases)
		return false;
	client->leases = leases;
	leases[client->nr_leases++] = (struct known_lease){ .id = id };
	return true;
}

static int keep_event(struct vdb_client *client, struct message *m)
{
	struct known_lease *lease;

	close_fds(m);
	if (m->size != sizeof(m->event) || m->event.state > VDP_STATE_REVOKED ||
	    m->event.end > VDP_END_BROKER)
		return break_off(client, EPROTO, "the broker's event makes no sense");
	lease = find_lease(client, m->event.lease);
	if (!lease)
		return 0;
	lease->pending = true;
	lease->event = (struct vdb_event){
		.lease = lease->id,
		.state = (enum vdb_state)m->event.state,
		.end = (enum vdb_end)m->event.end,
	};
	eventfd_write(client->pending, 1);
	return 0;
}

static int errno_of(uint32_t code)
{
	switch (code) {
	case VDP_ERROR_MALFORMED:
	case VDP_ERROR_NO_HELLO:	return EPROTO;
	case VDP_ERROR_VERSION:		return EPROTONOSUPPORT;
	case VDP_ERROR_UNKNOWN:		return ENOTSUP;
	case VDP_ERROR_NO_SLICE:
	case VDP_ERROR_NO_LEASE:	return ENOENT;
	case VDP_ERROR_BUSY:		return EBUSY;
	case VDP_ERROR_INVALID:		return EINVAL;
	case VDP_ERROR_LIMIT:		return EDQUOT;
	case VDP_ERROR_FORBIDDEN:	return EPERM;
	case VDP_ERROR_DEVICE:		return ENODEV;
	default:			return EIO;
	}
}

static int take_error(struct vdb_client *client, struct message *m)
{
	int error;

	close_fds(m);
	if (m->size != sizeof(m->error) || m->error.reserved ||
	    m->error.text[sizeof(m->error.text) - 1])
		return break_off(client, EPROTO, "the broker's error makes no sense");
	error = errno_of(m->error.code);
	snprintf(client->error, sizeof(client->error), "%s", m->error.text);
	if (m->error.code <= VDP_ERROR_VERSION || !m->header.serial)
		client->broken = true;
	errno = error;
	return -1;
}

static int send_request(struct vdb_client *client, struct vdp_header *header,
			uint16_t type, size_t size)
{
	client->error[0] = '\0';
	if (client->broken) {
		errno = ENOTCONN;
		return -1;
	}
	if (!++client->serial)
		client->serial = 1;
	*header = (struct vdp_header){ .type = type, .serial = client->serial };
	/* A broker that is gone may have said why: that is what will be received. */
	if (vdb_send_fds(client->socket, header, size, NULL, 0) &&
	    errno != EPIPE && errno != ECONNRESET)
		return break_off(client, ENOTCONN, "the connection to the broker is lost");
	return 0;
}

/*
 * An error without a serial is about the connection, which then ends: there are
 * too many of them.
 */
static bool is_last_word(const struct message *m)
{
	return m->header.type == VDP_ERROR && !m->header.serial;
}

/*
 * The next answer to the request that was sent last: VDP_ANSWER or VDP_ITEM of
 * its type.  One to another request is what a broker that was restarted
 * meanwhile says twice; it is dropped.
 */
static int next_answer(struct vdb_client *client, struct message *m)
{
	for (;;) {
		if (receive(client, m, 0) < 0)
			return -1;
		if (m->header.type == VDP_EVENT) {
			if (keep_event(client, m))
				return -1;
		} else if (m->header.serial != client->serial && !is_last_word(m)) {
			close_fds(m);
		} else if (m->header.type == VDP_ERROR) {
			return take_error(client, m);
		} else {
			return 0;
		}
	}
}

/*
 * One request with one answer of a given size, and with fds only if expected;
 * then they may be lost.
 */
static int request(struct vdb_client *client, struct vdp_header *header,
		   uint16_t type, size_t size, struct message *m, size_t answer_size,
		   unsigned int nr_fds)
{
	if (send_request(client, header, type, size) || next_answer(client, m))
		return -1;
	if (m->header.type != (type | VDP_ANSWER) || m->size != answer_size ||
	    (m->lost ? !nr_fds : (m->fds[0] >= 0) + (m->fds[1] >= 0) != (int)nr_fds)) {
		close_fds(m);
		return break_off(client, EPROTO, "the broker's answer does not fit the request");
	}
	return 0;
}

static int say_hello(struct vdb_client *client)
{
	struct vdp_hello hello = {
		.min_version = VDP_VERSION,
		.max_version = VDP_VERSION,
	};
	struct message m;

	snprintf(hello.name, sizeof(hello.name), "%s", program_invocation_short_name);
	if (request(client, &hello.header, VDP_HELLO, sizeof(hello), &m,
		    sizeof(m.hello), 0))
		return -1;
	if (m.hello.version != VDP_VERSION)
		return break_off(client, EPROTO, "the broker's version was not offered to it");
	return 0;
}

static int connect_socket(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static int watch(struct vdb_client *client, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event);
}

struct vdb_client *vdb_client_connect(const char *path)
{
	struct vdb_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	client->pending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	client->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (client->socket < 0 || client->pending < 0 || client->epoll < 0 ||
	    watch(client, client->socket) || watch(client, client->pending) ||
	    connect_socket(client->socket, path ?: VDB_BROKER_SOCKET) ||
	    say_hello(client)) {
		vdb_client_close(client);
		return NULL;
	}
	return client;
}

void vdb_client_close(struct vdb_client *client)
{
	int error = errno;

	if (!client)
		return;
	vdb_close(client->epoll);
	vdb_close(client->pending);
	vdb_close(client->socket);
	free(client->leases);
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

static struct vdb_slice *slice_of(struct message *m)
{
	const struct vdp_acquire_answer *answer = &m->acquire;
	struct vdb_slice *slice;

	if (answer->bdf[sizeof(answer->bdf) - 1] ||
	    answer->flags & ~(VDP_READ_ONLY | VDP_WC | VDP_EXCLUSIVE))
		return NULL;
	slice = vdb_slice_from_fd(m->fds[0], m->fds[1], answer->bdf, answer->bar,
				  answer->offset,
				  answer->flags & (VDP_READ_ONLY | VDP_WC));
	if (!slice)
		return NULL;
	if (slice->length != answer->length) {
		slice->fd = slice->event_fd = -1;
		vdb_slice_free(slice);
		return NULL;
	}
	return slice;
}

static_assert(VDB_READ_ONLY == VDP_READ_ONLY && VDB_WC == VDP_WC, "same bits");
static_assert(VDB_ANY_INDEX == VDP_ANY_INDEX, "same number");
static_assert((int)VDB_REVOKED == (int)VDP_STATE_REVOKED, "same states");
static_assert((int)VDB_END_BROKER == (int)VDP_END_BROKER, "same ends");

/* Gives back what the caller cannot have; fails with @error if that works. */
static int give_back(struct vdb_client *client, uint64_t lease, int error, const char *why)
{
	if (vdb_client_release(client, lease) && client->broken)
		return -1;
	snprintf(client->error, sizeof(client->error), "%s", why);
	errno = error;
	return -1;
}

int vdb_client_acquire(struct vdb_client *client, const char *name,
		       uint32_t index, unsigned int flags, uint32_t seconds,
		       struct vdb_lease *lease)
{
	struct vdp_acquire acquire = {
		.index = index,
		.flags = flags,
		.seconds = seconds,
	};
	struct vdb_slice *slice;
	struct message m;

	if (strlen(name) >= sizeof(acquire.name)) {
		snprintf(client->error, sizeof(client->error),
			 "a slice's name has at most %d characters", VDP_NAME - 1);
		errno = ENOENT;
		return -1;
	}
	strcpy(acquire.name, name);
	if (request(client, &acquire.header, VDP_ACQUIRE, sizeof(acquire), &m,
		    sizeof(m.acquire), 2))
		return -1;
	if (m.lost)
		return give_back(client, m.acquire.lease, EMFILE,
				 "this process may have no more open files, and the slice comes as two");
	slice = slice_of(&m);
	if (!slice) {
		close_fds(&m);
		return break_off(client, EPROTO, "the broker's slice is not what the broker says");
	}
	if (!know_lease(client, m.acquire.lease)) {
		vdb_slice_free(slice);
		return give_back(client, m.acquire.lease, ENOMEM, "there is no memory");
	}
	*lease = (struct vdb_lease){
		.id = m.acquire.lease,
		.index = m.acquire.index,
		.seconds = m.acquire.seconds,
		.slice = slice,
	};
	return 0;
}

static int end_lease(struct vdb_client *client, uint16_t type, uint64_t lease)
{
	struct vdp_lease_request end = { .lease = lease };
	struct message m;

	return request(client, &end.header, type, sizeof(end), &m,
		       sizeof(struct vdp_plain), 0);
}

int vdb_client_release(struct vdb_client *client, uint64_t lease)
{
	if (end_lease(client, VDP_RELEASE, lease))
		return -1;
	forget_lease(client, lease);
	return 0;
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

	if (request(client, &renew.header, VDP_RENEW, sizeof(renew), &m,
		    sizeof(m.renew), 0))
		return -1;
	if (m.renew.reserved)
		return break_off(client, EPROTO, "the broker's answer makes no sense");
	return m.renew.seconds;
}

/* 1 and the event that has waited longest, as far as that is known; else 0. */
static int next_pending(struct vdb_client *client, struct vdb_event *event)
{
	for (size_t i = 0; i < client->nr_leases; i++) {
		if (!client->leases[i].pending)
			continue;
		*event = client->leases[i].event;
		client->leases[i].pending = false;
		if (event->state == VDB_REVOKED)
			forget_lease(client, event->lease);
		return 1;
	}
	eventfd_read(client->pending, &(eventfd_t){ 0 });
	return 0;
}

int vdb_client_next(struct vdb_client *client, struct vdb_event *event)
{
	struct message m;
	int ret;

	for (;;) {
		if (next_pending(client, event))
			return 1;
		ret = receive(client, &m, MSG_DONTWAIT);
		if (ret <= 0)
			return ret;
		if (m.header.type != VDP_EVENT)
			close_fds(&m);
		else if (keep_event(client, &m))
			return -1;
	}
}

/*
 * A list: the next item into @m, or the end.  1, 0 or -1.
 */
static int next_item(struct vdb_client *client, uint16_t type, struct message *m,
		     size_t size)
{
	if (next_answer(client, m))
		return -1;
	close_fds(m);
	if (m->header.type == (type | VDP_ITEM) && m->size == size)
		return 1;
	if (m->header.type == (type | VDP_ANSWER) && m->size == sizeof(struct vdp_plain))
		return 0;
	return break_off(client, EPROTO, "the broker's list makes no sense");
}

static bool is_text(const char *text, size_t size)
{
	return !text[size - 1];
}

int vdb_client_slices(struct vdb_client *client,
		      void (*each)(const struct vdb_slice_info *, void *), void *data)
{
	struct vdp_plain list;
	struct message m;
	int ret;

	if (send_request(client, &list.header, VDP_LIST_SLICES, sizeof(list)))
		return -1;
	while ((ret = next_item(client, VDP_LIST_SLICES, &m, sizeof(m.slice))) > 0) {
		if (!is_text(m.slice.name, VDP_NAME) || !is_text(m.slice.bdf, sizeof(m.slice.bdf)) ||
		    m.slice.reserved)
			return break_off(client, EPROTO, "the broker's list makes no sense");
		each(&(struct vdb_slice_info){
			.name = m.slice.name,
			.bdf = m.slice.bdf,
			.bar = m.slice.bar,
			.flags = m.slice.flags & (VDP_READ_ONLY | VDP_WC),
			.exclusive = m.slice.flags & VDP_EXCLUSIVE,
			.offset = m.slice.offset,
			.length = m.slice.length,
			.count = m.slice.count,
			.free = m.slice.free,
			.max_seconds = m.slice.max_seconds,
		}, data);
	}
	return ret;
}

int vdb_client_leases(struct vdb_client *client,
		      void (*each)(const struct vdb_lease_info *, void *), void *data)
{
	struct vdp_plain list;
	struct message m;
	int ret;

	if (send_request(client, &list.header, VDP_LIST_LEASES, sizeof(list)))
		return -1;
	while ((ret = next_item(client, VDP_LIST_LEASES, &m, sizeof(m.lease))) > 0) {
		if (!is_text(m.lease.name, VDP_NAME) || !is_text(m.lease.client, VDP_NAME) ||
		    !is_text(m.lease.bdf, sizeof(m.lease.bdf)) || m.lease.state > VDP_STATE_REVOKED)
			return break_off(client, EPROTO, "the broker's list makes no sense");
		each(&(struct vdb_lease_info){
			.id = m.lease.lease,
			.name = m.lease.name,
			.bdf = m.lease.bdf,
			.client = m.lease.client,
			.bar = m.lease.bar,
			.flags = m.lease.flags & (VDP_READ_ONLY | VDP_WC),
			.offset = m.lease.offset,
			.length = m.lease.length,
			.index = m.lease.index,
			.seconds = m.lease.seconds,
			.pid = m.lease.pid,
			.uid = m.lease.uid,
			.gid = m.lease.gid,
			.state = (enum vdb_state)m.lease.state,
		}, data);
	}
	return ret;
}

int vdb_client_devices(struct vdb_client *client,
		       void (*each)(const struct vdb_device_info *, void *), void *data)
{
	struct vdp_plain list;
	struct message m;
	int ret;

	if (send_request(client, &list.header, VDP_LIST_DEVICES, sizeof(list)))
		return -1;
	while ((ret = next_item(client, VDP_LIST_DEVICES, &m, sizeof(m.device))) > 0) {
		if (!is_text(m.device.name, VDP_NAME) || !is_text(m.device.bdf, sizeof(m.device.bdf)) ||
		    m.device.state > VDP_STATE_REVOKED)
			return break_off(client, EPROTO, "the broker's list makes no sense");
		each(&(struct vdb_device_info){
			.name = m.device.name,
			.bdf = m.device.bdf,
			.state = (enum vdb_state)m.device.state,
			.leases = m.device.leases,
		}, data);
	}
	return ret;
}
