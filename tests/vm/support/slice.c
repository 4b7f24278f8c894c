// SPDX-License-Identifier: MIT
/* Slices: exporting, mapping and revoking them. */
#define _GNU_SOURCE
#include "slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kernel.h"
#include "suite.h"

int slice_export(const struct device *dev, uint32_t bar, uint32_t open_flags,
		 const struct vfio_region_dma_range *ranges, uint32_t nr)
{
	size_t size = sizeof(struct vfio_device_feature) +
		      sizeof(struct vfio_device_feature_dma_buf) +
		      nr * sizeof(*ranges);
	struct vfio_device_feature *feature = calloc(1, size);
	struct vfio_device_feature_dma_buf *request = (void *)feature->data;
	int fd, error;

	feature->argsz = size;
	feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	request->region_index = bar;
	request->open_flags = open_flags;
	request->nr_ranges = nr;
	if (nr)
		memcpy(request->dma_ranges, ranges, nr * sizeof(*ranges));

	fd = ioctl(dev->fd, VFIO_DEVICE_FEATURE, feature);
	error = errno;
	free(feature);
	errno = error;
	return fd;
}

int slice_new(const struct device *dev, uint32_t bar, uint64_t offset,
	      uint64_t length)
{
	struct vfio_region_dma_range range = { offset, length };
	int fd = slice_export(dev, bar, O_RDWR | O_CLOEXEC, &range, 1);

	ck_assert_msg(fd >= 0, "export of %s BAR %u at %#jx, %#jx bytes: %s",
		      dev->bdf, bar, (uintmax_t)offset, (uintmax_t)length,
		      strerror(errno));
	return fd;
}

void *slice_map(int fd, size_t offset, size_t length)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)offset);

	ck_assert_msg(map != MAP_FAILED, "mmap of a slice at %#zx, %#zx bytes: %s",
		      offset, length, strerror(errno));
	return map;
}

bool mapping_can_be_huge(bool slice)
{
	return kernel_has_huge_pages() && (!slice || (kernel_is(7, 3) && !kernel_is(7, 4)));
}

bool slice_can_be_huge(void)
{
	return mapping_can_be_huge(true);
}

static int revoke(const struct device *dev, int fd, uint32_t flags)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_revoke revoke;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET |
				 VFIO_DMABUF_FEATURE_REVOKE,
		.revoke = { .dmabuf_fd = fd, .flags = flags },
	};

	return ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request);
}

int slice_revoke(const struct device *dev, int fd)
{
	return revoke(dev, fd, 0);
}

int slice_revoke_now(const struct device *dev, int fd)
{
	return revoke(dev, fd, VFIO_DMABUF_NONBLOCK);
}

int slice_set_memattr(const struct device *dev, int fd, uint32_t memattr)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_memattr memattr;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET |
				 VFIO_DMABUF_FEATURE_MEMATTR,
		.memattr = { .dmabuf_fd = fd, .memattr = memattr },
	};

	return ioctl(dev->fd, VFIO_DEVICE_FEATURE, &request);
}
