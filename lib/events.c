/* SPDX-License-Identifier: MIT */
/* Being told of suspension and revocation. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio_dmabuf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

int vdb_slice_watch(const struct vdb_device *device, struct vdb_slice *slice)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_events events;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS,
		.events = {
			.dmabuf_fd = slice->fd,
			.open_flags = O_CLOEXEC | O_NONBLOCK,
		},
	};
	int fd = ioctl(device->fd, VFIO_DEVICE_FEATURE, &request);

	if (fd < 0)
		return -1;
	vdb_close(slice->event_fd);
	slice->event_fd = fd;
	return 0;
}

/*
 * The fd may have come from somebody who is not trusted, and then be anything:
 * hence the poll, and a look at the value.
 */
static void read_event(struct vdb_slice *slice)
{
	struct pollfd p = { .fd = slice->event_fd, .events = POLLIN };
	struct vfio_dmabuf_event event;
	ssize_t size;

	if (poll(&p, 1, 0) != 1)
		return;
	size = read(slice->event_fd, &event, sizeof(event));
	if (size == sizeof(event) && event.state <= VFIO_DMABUF_STATE_REVOKED) {
		slice->state = (enum vdb_state)event.state;
		slice->changes = event.changes;
	} else if (!size) {
		slice->state = VDB_REVOKED;
	}
}

int vdb_slice_state(struct vdb_slice *slice, uint64_t *changes)
{
	int error = errno;

	if (slice->event_fd < 0) {
		errno = ENODATA;
		return -1;
	}
	if (slice->state != VDB_REVOKED)
		read_event(slice);
	if (changes)
		*changes = slice->changes;
	errno = error;
	return slice->state;
}
