/* SPDX-License-Identifier: MIT */
/* Passing slices from process to process, and messages with fds in general. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

#define MAGIC		0x5356	/* "VS" */
#define VERSION		2
#define MAX_FDS		8	/* room for fds that do not belong to a slice */

/* In Linux since 6.5 and 2.6.18. The C library's headers can be older. */
#define CMSG_PIDFD	4	/* SCM_PIDFD: for a socket with SO_PASSPIDFD */
#define MAX_LABEL	4096	/* bytes of SCM_SECURITY: for one with SO_PASSSEC */

/* In the machine's byte order, as it does not leave the machine. */
struct slice_message {
	uint16_t magic;
	uint16_t version;
	uint32_t bar;
	uint32_t flags;
	uint16_t watched;	/* 1: a second fd, the event fd */
	uint16_t state;		/* the changes that the sender has read from it */
	uint64_t offset;
	uint64_t length;
	uint64_t changes;	/* likewise */
	char bdf[VDB_BDF_SIZE];
};

int vdb_send_fds(int socket, const void *data, size_t size, const int *fds,
		 unsigned int nr)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (nr) {
		struct cmsghdr *header;

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(header), fds, nr * sizeof(int));
	}
	do {
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -1;
	if ((size_t)sent != size) {
		errno = EMSGSIZE;
		return -1;
	}
	return 0;
}

/*
 * Takes all fds out of a message, and puts those that fit into @fds.  Returns the
 * number that was sent.  A pidfd was not sent: the kernel adds it if the caller's
 * socket has SO_PASSPIDFD. The library does not use it.
 */
static unsigned int take_fds(struct msghdr *message, int *fds, unsigned int max)
{
	unsigned int nr = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		bool rights = header->cmsg_type == SCM_RIGHTS;

		if (header->cmsg_level != SOL_SOCKET || (!rights && header->cmsg_type != CMSG_PIDFD))
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
			if (rights && nr < max)
				fds[nr] = fd;
			else
				vdb_close(fd);
			nr += rights;
		}
	}
	return nr;
}

ssize_t vdb_receive_fds(int socket, void *data, size_t size, int *fds,
			unsigned int max, int flags, bool *lost)
{
	union {
		struct cmsghdr align;
		/*
		 * With some options of the caller's socket, credentials, a security label
		 * and a pidfd come with the fds.  Without room for them fds would be lost.
		 */
		char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(MAX_LABEL) +
			   CMSG_SPACE(MAX_FDS * sizeof(int)) + CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	unsigned int nr;
	ssize_t got;
	bool bad;

	for (unsigned int i = 0; i < max; i++)
		fds[i] = -1;
	do {
		got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	nr = take_fds(&message, fds, max);
	/* There was room for more than @max, so lack of room is not the reason. */
	*lost = message.msg_flags & MSG_CTRUNC && nr <= max;
	/*
	 * A message without data would look like the end of the connection, and its fds
	 * would leak.
	 */
	bad = nr > max || message.msg_flags & MSG_TRUNC || (!got && nr);
	if (bad || *lost) {
		for (unsigned int i = 0; i < max; i++) {
			vdb_close(fds[i]);
			fds[i] = -1;
		}
	}
	if (bad) {
		errno = EPROTO;
		return -1;
	}
	return got;
}

int vdb_slice_send(int socket, const struct vdb_device *device, const struct vdb_slice *slice)
{
	struct slice_message message = {
		.magic = MAGIC,
		.version = VERSION,
		.bar = slice->bar,
		.flags = slice->flags,
		.watched = slice->event_fd >= 0,
		.state = slice->state,
		.offset = slice->offset,
		.length = slice->length,
		.changes = slice->changes,
	};
	int fds[] = { slice->fd, slice->event_fd }, own = -1, ret;

	memcpy(message.bdf, slice->bdf, sizeof(message.bdf));
	if (message.watched && device) {
		own = vdb_watch_fd(device, slice->fd);
		if (own < 0)
			return -1;
		/* Its first read returns the state of the slice. */
		fds[1] = own;
		message.state = VDB_STATE_LIVE;
		message.changes = 0;
	}
	ret = vdb_send_fds(socket, &message, sizeof(message), fds, 1 + message.watched);
	vdb_close(own);
	return ret;
}

/* The slice that a message describes. The fds belong to the slice, if there is one. */
static struct vdb_slice *slice_of(const struct slice_message *message, ssize_t size,
				  const int fds[2])
{
	struct vdb_slice *slice;

	if (size != sizeof(*message) || message->magic != MAGIC ||
	    message->version != VERSION || message->watched > 1 || message->state > VDB_STATE_REVOKED ||
	    message->bdf[VDB_BDF_SIZE - 1] || fds[0] < 0 ||
	    (fds[1] >= 0) != message->watched)
		return NULL;
	slice = vdb_slice_from_fd(fds[0], -1, message->bdf, message->bar,
				  message->offset, message->flags);
	if (!slice)
		return NULL;
	if (slice->length != message->length) {
		slice->fd = -1;
		vdb_slice_free(slice);
		return NULL;
	}
	if (fds[1] >= 0)
		fcntl(fds[1], F_SETFL, fcntl(fds[1], F_GETFL) | O_NONBLOCK);
	slice->event_fd = fds[1];
	slice->state = (enum vdb_state)message->state;
	slice->changes = message->changes;
	return slice;
}

struct vdb_slice *vdb_slice_receive(int socket)
{
	struct slice_message message;
	struct vdb_slice *slice;
	bool lost;
	int fds[2];
	ssize_t size = vdb_receive_fds(socket, &message, sizeof(message), fds, 2, 0, &lost);

	if (size < 0)
		return NULL;
	if (!size || lost) {
		errno = lost ? EMFILE : ENOTCONN;
		return NULL;
	}
	slice = slice_of(&message, size, fds);
	if (!slice) {
		vdb_close(fds[0]);
		vdb_close(fds[1]);
		errno = EPROTO;
	}
	return slice;
}
