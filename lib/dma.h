/* SPDX-License-Identifier: MIT */
/* An IO address space, and the functions that differ between the kernel's two kinds. */
#ifndef VDB_DMA_H
#define VDB_DMA_H

#include "internal.h"
#include "iova.h"

/* Memory to be mapped: of a file if there is one, otherwise of this process. */
struct vdb_dma_source {
	int fd;			/* a memfd, from its byte 0 on; or -1 */
	void *address;
	uint64_t length;
};

/* The functions that return int: 0, or -1 with errno as the kernel has it. */
struct vdb_dma_kind {
	/* Fills in dma->usable, dma->nr_usable and dma->page. */
	int (*read_usable)(struct vdb_dma *dma);
	/* EEXIST: something is mapped there. */
	int (*map)(struct vdb_dma *dma, uint64_t iova, const struct vdb_dma_source *source, bool read_only);
	/* 0 bytes: nothing was mapped there. */
	int (*unmap)(struct vdb_dma *dma, uint64_t iova, uint64_t length, uint64_t *unmapped);
	/*
	 * Whether the limit counts what all processes of the user have locked, not only
	 * this process.
	 */
	bool (*counts_per_user)(const struct vdb_dma *dma);
	/* Why no further mapping is possible, if errno is ENOSPC. */
	const char *no_entry;
};

extern const struct vdb_dma_kind vdb_dma_type1;
extern const struct vdb_dma_kind vdb_dma_iommufd;

struct vdb_dma {
	const struct vdb_dma_kind *kind;
	int fd;			/* container or iommufd, of others */
	uint32_t ioas;		/* 0: a container */
	bool no_map_file;	/* the kernel has no IOMMU_IOAS_MAP_FILE */
	unsigned int bits;	/* address width of the device */
	struct vdb_iova_space space;
	struct vdb_iova_range *usable;	/* as last read, ascending */
	size_t nr_usable;
	uint64_t page;		/* smallest that can be mapped */
	uint64_t mapped;	/* bytes, by this object */
	char error[VDB_ERROR_SIZE];
};

/* Adds a usable range; false: no memory. */
bool vdb_dma_add_usable(struct vdb_dma *dma, uint64_t first, uint64_t last);

/* The file mapped into this process, for as long as it takes to pin its pages. */
void *vdb_dma_map_file_here(const struct vdb_dma_source *source);

/* Maps @source, and fills in where.  0, or -1 with errno and dma->error. */
int vdb_dma_map_source(struct vdb_dma *dma, const struct vdb_dma_source *source, bool read_only,
		       uint64_t *iova);

/* As snprintf() into dma->error; keeps errno.  -1. */
__attribute__((format(printf, 2, 3)))
int vdb_dma_failed(struct vdb_dma *dma, const char *format, ...);

#endif
