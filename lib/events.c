/* SPDX-License-Identifier: MIT */
/* Event fds: suspension and revocation. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio_dmabuf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/fds.h"
#include "internal.h"

/* Of a buffer by its fd, or, if that is -1, by its id; of the device if that is 0. */
static int open_events(const struct vdb_device *device, int dmabuf_fd, uint64_t id)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_events events;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS,
		.events = {
			.dmabuf_fd = dmabuf_fd,
			.open_flags = O_CLOEXEC | O_NONBLOCK,
			.id = id,
		},
	};

	return ioctl(device->fd, VFIO_DEVICE_FEATURE, &request);
}

int vdb_device_watch(const struct vdb_device *device)
{
	return open_events(device, -1, 0);
}

int vdb_device_watch_id(const struct vdb_device *device, uint64_t id)
{
	/* For the kernel, 0 would mean the device. */
	if (!id) {
		errno = ENOENT;
		return -1;
	}
	return open_events(device, -1, id);
}

int vdb_watch_fd(const struct vdb_device *device, int dmabuf_fd)
{
	return open_events(device, dmabuf_fd, 0);
}

int vdb_slice_watch(const struct vdb_device *device, struct vdb_slice *slice)
{
	int fd = vdb_watch_fd(device, slice->fd);

	if (fd < 0)
		return -1;
	fd_close(slice->event_fd);
	slice->event_fd = fd;
	return 0;
}

int vdb_event_read(int event_fd, uint64_t *changes)
{
	struct vfio_dmabuf_event event;
	ssize_t size = read(event_fd, &event, sizeof(event));

	if (size < 0)
		return -1;
	/* The end of the file: revocation has been read before. */
	if (!size)
		return VDB_STATE_REVOKED;
	if (size != sizeof(event) || event.state > VFIO_DMABUF_STATE_REVOKED) {
		errno = EPROTO;
		return -1;
	}
	if (changes)
		*changes = event.changes;
	return (int)event.state;
}

/*
 * The fd can come from a process that is not trusted, and can be any file. So
 * poll first, and check the value.
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
		slice->state = VDB_STATE_REVOKED;
	}
}

int vdb_slice_state(struct vdb_slice *slice, uint64_t *changes)
{
	int error = errno;

	if (slice->event_fd < 0) {
		errno = ENODATA;
		return -1;
	}
	if (slice->state != VDB_STATE_REVOKED)
		read_event(slice);
	if (changes)
		*changes = slice->changes;
	errno = error;
	return slice->state;
}
