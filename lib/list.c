/* SPDX-License-Identifier: MIT */
/* The device's buffers, as the kernel lists them: all of them, or one by its id. */
#include <errno.h>
#include <linux/vfio_dmabuf.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "internal.h"

/* Buffers that one system call lists: 64 KiB of memory. */
#define PAGE_OF_LIST	1024

static void describe(struct vdb_buffer *buffer, const struct vfio_dmabuf_buffer *kernel)
{
	*buffer = (struct vdb_buffer){
		.id = kernel->id,
		.inode = kernel->inode,
		.offset = kernel->offset,
		.length = kernel->size,
		.bar = kernel->region_index,
		.nr_ranges = kernel->nr_ranges,
		.state = (enum vdb_state)kernel->state,
		.mappings = kernel->mappings,
		.importers = kernel->importers,
		.dma_maps = kernel->dma_maps,
	};
	if (kernel->flags & VFIO_DMABUF_BUFFER_READ_ONLY)
		buffer->flags |= VDB_FLAG_READ_ONLY;
	if (kernel->flags & VFIO_DMABUF_BUFFER_BAR_MAPPING)
		buffer->flags |= VDB_FLAG_BAR_MAPPING;
	if (kernel->memattr == VFIO_DMABUF_MEMATTR_WC)
		buffer->flags |= VDB_FLAG_WC;
}

/* Buffers after this id, at most PAGE_OF_LIST. Returns their number, or -1. */
static int list_page(const struct vdb_device *device, uint64_t after,
		     struct vfio_dmabuf_buffer *buffers)
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
			.nr = PAGE_OF_LIST,
			.size = sizeof(*buffers),
		},
	};

	if (ioctl(device->fd, VFIO_DEVICE_FEATURE, &request))
		return -1;
	return request.list.nr;
}

int vdb_device_list(const struct vdb_device *device,
		    bool (*each)(const struct vdb_buffer *buffer, void *data), void *data)
{
	struct vfio_dmabuf_buffer *page = calloc(PAGE_OF_LIST, sizeof(*page));
	uint64_t after = 0;
	int nr, error;

	if (!page)
		return -1;
	while ((nr = list_page(device, after, page)) > 0) {
		for (int i = 0; i < nr; i++) {
			struct vdb_buffer buffer;

			describe(&buffer, &page[i]);
			if (!each(&buffer, data)) {
				free(page);
				return 1;
			}
		}
		after = page[nr - 1].id;
	}
	error = errno;
	free(page);
	errno = error;
	return nr;
}

/* By fd if there is one, otherwise by id. Returns the number of ranges filled in, or -1. */
static ssize_t info(const struct vdb_device *device, int fd, uint64_t id, struct vdb_buffer *buffer,
		    uint64_t first, struct vdb_range *ranges, uint32_t room)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_info info;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_INFO,
		.info = {
			.dmabuf_fd = fd,
			.id = id,
			.nr_ranges = room,
			.first_range = first,
			.ranges = (uintptr_t)ranges,
		},
	};

	if (ioctl(device->fd, VFIO_DEVICE_FEATURE, &request))
		return -1;
	describe(buffer, &request.info.buffer);
	return request.info.nr_ranges;
}

int vdb_device_buffer_sized(const struct vdb_device *device, uint64_t id,
			    struct vdb_buffer *buffer, size_t size)
{
	struct vdb_buffer found;

	if (!vdb_is_size(size, VDB_FIRST_BUFFER) || info(device, -1, id, &found, 0, NULL, 0) < 0)
		return -1;
	vdb_fill(buffer, size, &found, sizeof(found));
	return 0;
}

/* One struct serves for both: the kernel fills in the caller's array. */
_Static_assert(sizeof(struct vdb_range) == sizeof(struct vfio_region_dma_range) &&
	       offsetof(struct vdb_range, offset) == offsetof(struct vfio_region_dma_range, offset) &&
	       offsetof(struct vdb_range, length) == offsetof(struct vfio_region_dma_range, length),
	       "struct vdb_range is not the kernel's");

ssize_t vdb_device_buffer_ranges(const struct vdb_device *device, uint64_t id, size_t first,
				 struct vdb_range *ranges, size_t room)
{
	struct vdb_buffer ignored;

	return info(device, -1, id, &ignored, first, ranges,
		    room < VFIO_DMABUF_MAX_RANGES ? room : VFIO_DMABUF_MAX_RANGES);
}

int vdb_describe_fd(const struct vdb_device *device, int fd, struct vdb_buffer *buffer)
{
	return info(device, fd, 0, buffer, 0, NULL, 0) < 0 ? -1 : 0;
}

uint64_t vdb_slice_id(const struct vdb_device *device, const struct vdb_slice *slice)
{
	struct vdb_buffer buffer;

	return vdb_describe_fd(device, slice->fd, &buffer) ? 0 : buffer.id;
}
