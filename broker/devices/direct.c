/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <linux/vfio_dmabuf.h>
#include <sys/ioctl.h>

#include "direct.h"

bool direct_is_possible(int device)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			 VFIO_DMABUF_FEATURE_EXPORT,
	};

	return !ioctl(device, VFIO_DEVICE_FEATURE, &probe);
}

bool direct_export(int device, const struct lease_record *lease, int fds[2], uint64_t *buffer)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_export export;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EXPORT,
		.export = {
			.region_index = lease->bar,
			.open_flags = O_CLOEXEC | (lease->flags & SLICE_READ_ONLY ? O_RDONLY : O_RDWR),
			.flags = VFIO_DMABUF_NONBLOCK | VFIO_DMABUF_EXPORT_EVENTS,
			.memattr = lease->flags & SLICE_WC ? VFIO_DMABUF_MEMATTR_WC : VFIO_DMABUF_MEMATTR_NC,
			.range = { lease->offset, lease->length },
		},
	};

	if (ioctl(device, VFIO_DEVICE_FEATURE, &request))
		return false;
	fds[0] = request.export.dmabuf_fd;
	fds[1] = request.export.events_fd;
	*buffer = request.export.id;
	return true;
}

bool direct_revoke(int device, uint64_t buffer)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_revoke revoke;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
		.revoke = { .dmabuf_fd = -1, .flags = VFIO_DMABUF_NONBLOCK, .id = buffer },
	};

	/* It was revoked before, or no longer exists. */
	return !ioctl(device, VFIO_DEVICE_FEATURE, &request) || errno == EBADFD || errno == ENOENT;
}
