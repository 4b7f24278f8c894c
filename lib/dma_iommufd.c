/* SPDX-License-Identifier: MIT */
/* An IOAS of iommufd as IO address space. */
#include <errno.h>
#include <linux/iommufd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "dma.h"

/* As the kernel has them since Linux 6.13 and 7.3; headers may be older. */
struct map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};
#define IOAS_MAP_FILE	_IO(IOMMUFD_TYPE, 0x8f)

struct noiommu_get_pa {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t iova;
	uint64_t length;
	uint64_t out_phys;
};
#define IOAS_NOIOMMU_GET_PA	_IO(IOMMUFD_TYPE, 0x95)

static int read_usable(struct vdb_dma *dma)
{
	struct iommu_ioas_iova_ranges query = { .size = sizeof(query), .ioas_id = dma->ioas };
	struct iommu_iova_range *ranges = NULL;
	bool added = true;
	int ret;

	/* Ranges can be added between two calls. */
	for (int tries = 0; ; tries++) {
		struct iommu_iova_range *bigger;

		query.allowed_iovas = (uintptr_t)ranges;
		ret = ioctl(dma->fd, IOMMU_IOAS_IOVA_RANGES, &query);
		if (!ret || errno != EMSGSIZE || tries == 10)
			break;
		bigger = reallocarray(ranges, query.num_iovas, sizeof(*ranges));
		if (!bigger)
			break;
		ranges = bigger;
	}
	if (ret) {
		free(ranges);
		if (errno == ENOENT)
			return vdb_dma_failed(dma, "the iommufd has no IO address space %u", dma->ioas);
		if (errno == ENOTTY)
			return vdb_dma_failed(dma, "the fd is not an iommufd");
		return vdb_dma_failed(dma, "the iommufd cannot be used: %m");
	}
	dma->page = query.out_iova_alignment;
	for (uint32_t i = 0; added && i < query.num_iovas; i++)
		added = vdb_dma_add_usable(dma, ranges[i].start, ranges[i].last);
	free(ranges);
	return added ? 0 : vdb_dma_failed(dma, "%m");
}

static int unmap(struct vdb_dma *dma, uint64_t iova, uint64_t length, uint64_t *unmapped)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = dma->ioas,
		.iova = iova,
		.length = length,
	};

	*unmapped = 0;
	if (ioctl(dma->fd, IOMMU_IOAS_UNMAP, &unmap)) {
		/* Nothing is mapped there, or something that is longer. */
		return errno == ENOENT ? 0 : -1;
	}
	*unmapped = unmap.length;
	return 0;
}

static int map_address(struct vdb_dma *dma, uint64_t iova, void *address, uint64_t length, uint32_t flags)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = flags,
		.ioas_id = dma->ioas,
		.user_va = (uintptr_t)address,
		.length = length,
		.iova = iova,
	};

	return ioctl(dma->fd, IOMMU_IOAS_MAP, &map);
}

static int map_file(struct vdb_dma *dma, uint64_t iova, const struct vdb_dma_source *source, uint32_t flags)
{
	struct map_file map = {
		.size = sizeof(map),
		.flags = flags,
		.ioas_id = dma->ioas,
		.fd = source->fd,
		.length = source->length,
		.iova = iova,
	};
	void *address;
	int ret, error;

	if (!dma->no_map_file) {
		ret = ioctl(dma->fd, IOAS_MAP_FILE, &map);
		if (!ret || errno != ENOTTY)
			return ret;
		dma->no_map_file = true;
	}
	address = vdb_dma_map_file_here(source);
	if (!address)
		return -1;
	ret = map_address(dma, iova, address, source->length, flags);
	error = errno;
	munmap(address, source->length);
	errno = error;
	return ret;
}

/* The device of an IOAS without IOMMU takes an IOVA for a physical address. */
static bool is_noiommu(const struct vdb_dma *dma, uint64_t iova)
{
	struct noiommu_get_pa query = {
		.size = sizeof(query),
		.ioas_id = dma->ioas,
		.iova = iova,
		.length = dma->page,
	};

	return !ioctl(dma->fd, IOAS_NOIOMMU_GET_PA, &query);
}

static int map(struct vdb_dma *dma, uint64_t iova, const struct vdb_dma_source *source, bool read_only)
{
	uint32_t flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 (read_only ? 0 : IOMMU_IOAS_MAP_WRITEABLE);
	uint64_t unmapped;
	int ret = source->fd >= 0 ? map_file(dma, iova, source, flags) :
				    map_address(dma, iova, source->address, source->length, flags);

	if (ret || !is_noiommu(dma, iova))
		return ret;
	unmap(dma, iova, source->length, &unmapped);
	errno = EOPNOTSUPP;
	return -1;
}

/* Unless the iommufd was set to count what the process has locked. */
static bool counts_per_user(const struct vdb_dma *dma)
{
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_GET,
	};

	return ioctl(dma->fd, IOMMU_OPTION, &option) || !option.val64;
}

const struct vdb_dma_kind vdb_dma_iommufd = {
	.read_usable = read_usable,
	.map = map,
	.unmap = unmap,
	.counts_per_user = counts_per_user,
	.no_entry = "the kernel has no room",
};
