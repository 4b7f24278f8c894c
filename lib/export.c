/* SPDX-License-Identifier: MIT */
/* What the owner does with slices: export and revoke. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio_dmabuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/fds.h"
#include "internal.h"

static int set_memattr(const struct vdb_device *device, int fd, uint32_t memattr)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_memattr memattr;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_MEMATTR,
		.memattr = { .dmabuf_fd = fd, .memattr = memattr },
	};

	return ioctl(device->fd, VFIO_DEVICE_FEATURE, &request);
}

static int export(const struct vdb_device *device, unsigned int bar,
		  const struct vdb_range *ranges, size_t nr, unsigned int flags)
{
	struct vfio_device_feature_dma_buf *dma_buf;
	struct vfio_device_feature *feature;
	size_t size = sizeof(*feature) + sizeof(*dma_buf) + nr * sizeof(dma_buf->dma_ranges[0]);
	int fd;

	feature = calloc(1, size);
	if (!feature)
		return -1;
	feature->argsz = size;
	feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	dma_buf = (void *)feature->data;
	dma_buf->region_index = bar;
	dma_buf->open_flags = O_CLOEXEC | (flags & VDB_FLAG_READ_ONLY ? O_RDONLY : O_RDWR);
	dma_buf->nr_ranges = nr;
	for (size_t i = 0; i < nr; i++) {
		dma_buf->dma_ranges[i].offset = ranges[i].offset;
		dma_buf->dma_ranges[i].length = ranges[i].length;
	}
	fd = ioctl(device->fd, VFIO_DEVICE_FEATURE, feature);
	free(feature);
	return fd;
}

static bool can_be_asked_for(unsigned int bar, size_t nr_ranges, unsigned int flags)
{
	if (bar >= VDB_BARS || flags & ~(VDB_FLAG_READ_ONLY | VDB_FLAG_WC) || !nr_ranges)
		errno = EINVAL;
	else if (nr_ranges > VFIO_DMABUF_MAX_RANGES)
		errno = E2BIG;
	else
		return true;
	return false;
}

int vdb_device_export_sized(const struct vdb_device *device, unsigned int bar,
			    const struct vdb_range *ranges, size_t nr_ranges,
			    unsigned int flags, struct vdb_buffer *buffer, size_t size)
{
	struct vdb_buffer found;
	int fd;

	if (!vdb_is_size(size, VDB_FIRST_BUFFER) || !can_be_asked_for(bar, nr_ranges, flags))
		return -1;
	fd = export(device, bar, ranges, nr_ranges, flags);
	if (fd < 0)
		return -1;
	/* Buffers are NC at first. */
	if ((!(flags & VDB_FLAG_WC) || !set_memattr(device, fd, VFIO_DMABUF_MEMATTR_WC)) &&
	    !vdb_describe_fd(device, fd, &found)) {
		vdb_fill(buffer, size, &found, sizeof(found));
		return fd;
	}
	/* With core_export it is not one of the driver's own buffers, which is EINVAL. */
	if (errno == EINVAL)
		errno = EOPNOTSUPP;
	fd_close(fd);
	return -1;
}

struct vdb_slice *vdb_slice_export(const struct vdb_device *device,
				   unsigned int bar,
				   const struct vdb_range *ranges,
				   size_t nr_ranges, unsigned int flags)
{
	struct vdb_slice *slice;
	int fd;

	if (!can_be_asked_for(bar, nr_ranges, flags))
		return NULL;
	/* Stock vfio-pci can export, too, but its exports cannot be mapped. */
	if (!(vdb_device_capabilities(device) & VDB_CAP_EXPORT)) {
		errno = ENOTTY;
		return NULL;
	}

	fd = export(device, bar, ranges, nr_ranges, flags);
	if (fd < 0)
		return NULL;
	/* With core_export it is not one of the driver's own buffers, which is EINVAL. */
	if (set_memattr(device, fd, flags & VDB_FLAG_WC ? VFIO_DMABUF_MEMATTR_WC :
						     VFIO_DMABUF_MEMATTR_NC)) {
		if (errno == EINVAL)
			errno = EOPNOTSUPP;
		fd_close(fd);
		return NULL;
	}
	slice = vdb_slice_from_fd(fd, -1, device->bdf, bar, ranges[0].offset, flags);
	if (!slice)
		fd_close(fd);
	return slice;
}

/* By fd, or, if that is -1, by id. */
static int revoke_buffer(const struct vdb_device *device, int fd, uint64_t id)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_revoke revoke;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
		.revoke = { .dmabuf_fd = fd, .id = id },
	};

	return ioctl(device->fd, VFIO_DEVICE_FEATURE, &request);
}

int vdb_slice_revoke(const struct vdb_device *device,
		     const struct vdb_slice *slice)
{
	return revoke_buffer(device, slice->fd, 0);
}

int vdb_device_revoke_id(const struct vdb_device *device, uint64_t id)
{
	return revoke_buffer(device, -1, id);
}
