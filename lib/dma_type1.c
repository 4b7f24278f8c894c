/* SPDX-License-Identifier: MIT */
/* A type 1 container of VFIO as IO address space. */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma.h"

/* The answer with all its capabilities, to be freed; NULL with errno. */
static struct vfio_iommu_type1_info *get_info(int container)
{
	struct vfio_iommu_type1_info *info = NULL;
	uint32_t size = sizeof(*info);

	/* Ranges can be added between two calls. */
	for (int tries = 0; tries < 10; tries++) {
		struct vfio_iommu_type1_info *bigger = realloc(info, size);

		if (!bigger)
			break;
		info = bigger;
		*info = (struct vfio_iommu_type1_info){ .argsz = size };
		if (ioctl(container, VFIO_IOMMU_GET_INFO, info))
			break;
		if (info->argsz <= size)
			return info;
		size = info->argsz;
	}
	free(info);
	return NULL;
}

/* Where the usable ranges are, and how many; 0: the kernel has no limits to report. */
static uint32_t find_ranges(const struct vfio_iommu_type1_info *info, uint32_t *nr)
{
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	/* Kernels before 6.6 do not align capabilities, so they are copied. */
	while (at && at <= info->argsz - sizeof(struct vfio_info_cap_header)) {
		struct vfio_iommu_type1_info_cap_iova_range ranges;
		const char *here = (const char *)info + at;

		memcpy(&ranges.header, here, sizeof(ranges.header));
		if (ranges.header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE &&
		    at <= info->argsz - sizeof(ranges)) {
			memcpy(&ranges, here, sizeof(ranges));
			at += sizeof(ranges);
			*nr = ranges.nr_iovas;
			return *nr <= (info->argsz - at) / sizeof(struct vfio_iova_range) ? at : 0;
		}
		if (ranges.header.next <= at)
			break;
		at = ranges.header.next;
	}
	return 0;
}

static int read_usable(struct vdb_dma *dma)
{
	struct vfio_iommu_type1_info *info = get_info(dma->fd);
	uint32_t at, nr;
	bool added = true;

	if (!info) {
		/* No IOMMU is set for the container, or it is one for devices without IOMMU. */
		if (errno == EINVAL)
			return vdb_dma_failed(dma, "the container has no IOMMU: add a group and set type 1");
		if (errno == ENOTTY) {
			errno = EOPNOTSUPP;
			return vdb_dma_failed(dma, "the device has no IOMMU that limits its DMA");
		}
		return vdb_dma_failed(dma, "the container cannot be used: %m");
	}
	dma->page = info->flags & VFIO_IOMMU_INFO_PGSIZES && info->iova_pgsizes ?
		    info->iova_pgsizes & -info->iova_pgsizes : (uint64_t)sysconf(_SC_PAGESIZE);
	at = find_ranges(info, &nr);
	if (!at)
		added = vdb_dma_add_usable(dma, 0, UINT64_MAX);
	for (uint32_t i = 0; at && added && i < nr; i++) {
		struct vfio_iova_range range;

		memcpy(&range, (const char *)info + at + i * sizeof(range), sizeof(range));
		added = vdb_dma_add_usable(dma, range.start, range.end);
	}
	free(info);
	return added ? 0 : vdb_dma_failed(dma, "%m");
}

static int map(struct vdb_dma *dma, uint64_t iova, const struct vdb_dma_source *source, bool read_only)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | (read_only ? 0 : VFIO_DMA_MAP_FLAG_WRITE),
		.iova = iova,
		.size = source->length,
	};
	void *address = source->address;
	int ret, error;

	if (source->fd >= 0) {
		address = vdb_dma_map_file_here(source);
		if (!address)
			return -1;
	}
	map.vaddr = (uintptr_t)address;
	ret = ioctl(dma->fd, VFIO_IOMMU_MAP_DMA, &map);
	error = errno;
	/* The kernel has pinned the pages, and does not need the mapping any more. */
	if (source->fd >= 0)
		munmap(address, source->length);
	errno = error;
	return ret;
}

static int unmap(struct vdb_dma *dma, uint64_t iova, uint64_t length, uint64_t *unmapped)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = length,
	};

	if (ioctl(dma->fd, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -1;
	*unmapped = unmap.size;
	return 0;
}

static bool counts_per_user(const struct vdb_dma *dma)
{
	(void)dma;
	return false;
}

const struct vdb_dma_kind vdb_dma_type1 = {
	.read_usable = read_usable,
	.map = map,
	.unmap = unmap,
	.counts_per_user = counts_per_user,
	.no_entry = "the container has reached its limit of mappings: raise the parameter dma_entry_limit of vfio_iommu_type1",
};
