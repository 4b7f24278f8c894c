// SPDX-License-Identifier: MIT
/* A device's buffers, as the kernel lists them, and calls that name one by its id. */
#define _GNU_SOURCE
#include "buffers.h"

#include <stdlib.h>
#include <sys/ioctl.h>

#include "suite.h"

int buffers_list(const struct device *dev, uint64_t after,
		 struct vfio_dmabuf_buffer *buffers, uint32_t room)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_list list;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST,
		.list = {
			.after = after,
			.buffers = (uintptr_t)buffers,
			.nr = room,
			.size = sizeof(*buffers),
		},
	};

	if (ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request))
		return -1;
	ck_assert_uint_le(request.list.nr, room);
	return (int)request.list.nr;
}

size_t buffers_list_all(const struct device *dev, uint32_t page,
			struct vfio_dmabuf_buffer *buffers, size_t most)
{
	struct vfio_dmabuf_buffer *some = calloc(page, sizeof(*some));
	uint64_t after = 0;
	size_t all = 0;
	int nr, i;

	ck_assert_ptr_nonnull(some);
	while ((nr = buffers_list(dev, after, some, page)) > 0) {
		for (i = 0; i < nr; i++, all++) {
			if (some[i].id <= after)
				ck_abort_msg("buffer %ju follows %ju", (uintmax_t)some[i].id,
					     (uintmax_t)after);
			after = some[i].id;
			if (all < most)
				buffers[all] = some[i];
		}
	}
	ck_assert_works(nr);
	free(some);
	return all;
}

const struct vfio_dmabuf_buffer *buffers_find(const struct vfio_dmabuf_buffer *buffers,
					      size_t nr, uint64_t id)
{
	for (size_t i = 0; i < nr; i++)
		if (buffers[i].id == id)
			return &buffers[i];
	return NULL;
}

int buffer_info(const struct device *dev, int fd, uint64_t id,
		struct vfio_dmabuf_buffer *buffer)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_info info;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_INFO,
		.info = { .dmabuf_fd = fd, .id = id },
	};

	if (ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request))
		return -1;
	*buffer = request.info.buffer;
	return 0;
}

int buffer_ranges(const struct device *dev, uint64_t id, uint64_t first,
		  struct vfio_region_dma_range *ranges, uint32_t room)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_info info;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_INFO,
		.info = {
			.dmabuf_fd = -1,
			.id = id,
			.nr_ranges = room,
			.first_range = first,
			.ranges = (uintptr_t)ranges,
		},
	};

	if (ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request))
		return -1;
	return (int)request.info.nr_ranges;
}

uint64_t buffer_id(const struct device *dev, int fd)
{
	struct vfio_dmabuf_buffer buffer;

	ck_assert_works(buffer_info(dev, fd, 0, &buffer));
	ck_assert_uint_ne(buffer.id, 0);
	return buffer.id;
}

int buffer_revoke(const struct device *dev, int fd, uint64_t id)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_revoke revoke;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
		.revoke = { .dmabuf_fd = fd, .id = id },
	};

	return ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request);
}

int buffer_events(const struct device *dev, int fd, uint64_t id, uint32_t flags)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_events events;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS,
		.events = { .dmabuf_fd = fd, .open_flags = flags, .id = id },
	};

	return ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request);
}
