/* SPDX-License-Identifier: MIT */
/* Passing slices from process to process. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/fds.h"
#include "internal.h"

#define MAGIC		0x5356	/* "VS" */
#define VERSION		2	/* of registers */
#define VERSION_MEMORY	3	/* of memory: .offset is its IOVA, .bar 0 */

/* In the machine's byte order, because it does not leave the machine. */
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

int vdb_slice_send(int socket, const struct vdb_device *device, const struct vdb_slice *slice)
{
	struct slice_message message = {
		.magic = MAGIC,
		.version = slice->kind == VDB_KIND_MEMORY ? VERSION_MEMORY : VERSION,
		.bar = slice->bar,
		.flags = slice->flags,
		.watched = slice->event_fd >= 0,
		.state = slice->state,
		.offset = slice->kind == VDB_KIND_MEMORY ? slice->iova : slice->offset,
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
	ret = fds_send(socket, &message, sizeof(message), fds, 1 + message.watched, 0);
	fd_close(own);
	return ret;
}

/*
 * Memory is not watched.  The fd shows whether it has huge pages, so this ignores the
 * message's flag.
 */
static struct vdb_slice *memory_of(const struct slice_message *message, int fd)
{
	if (message->bar || message->watched || message->changes || message->bdf[0])
		return NULL;
	return vdb_memory_from_fd(fd, message->offset, message->flags & ~VDB_FLAG_HUGE);
}

/* The slice that a message describes; the fds are the slice's if there is one. */
static struct vdb_slice *slice_of(const struct slice_message *message, ssize_t size,
				  const int fds[2])
{
	struct vdb_slice *slice;

	if (size != sizeof(*message) || message->magic != MAGIC ||
	    (message->version != VERSION && message->version != VERSION_MEMORY) || message->watched > 1 || message->state > VDB_STATE_REVOKED ||
	    message->bdf[VDB_BDF_SIZE - 1] || fds[0] < 0 ||
	    (fds[1] >= 0) != message->watched)
		return NULL;
	slice = message->version == VERSION_MEMORY ? memory_of(message, fds[0]) :
		vdb_slice_from_fd(fds[0], -1, message->bdf, message->bar, message->offset, message->flags);
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
	/* Whether memory is revoked is for the receiver's IO address space to say. */
	slice->state = slice->kind == VDB_KIND_MEMORY ? VDB_STATE_LIVE : (enum vdb_state)message->state;
	slice->changes = message->changes;
	return slice;
}

struct vdb_slice *vdb_slice_receive(int socket)
{
	struct slice_message message;
	struct vdb_slice *slice;
	bool lost;
	int fds[2];
	ssize_t size;

	do {
		size = fds_receive(socket, &message, sizeof(message), fds, 2, 0, &lost);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return NULL;
	if (!size || lost) {
		errno = lost ? EMFILE : ENOTCONN;
		return NULL;
	}
	slice = slice_of(&message, size, fds);
	if (!slice) {
		fds_close(fds, 2);
		errno = EPROTO;
	}
	return slice;
}
