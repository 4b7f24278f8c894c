/* SPDX-License-Identifier: MIT */
/* What the library's files share, and does not export. */
#ifndef VDB_INTERNAL_H
#define VDB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

struct vdb_device {
	int fd;
	bool owned;		/* fd and the others are ours to close */
	int group;		/* -1: opened through the cdev, or not by us */
	int iommu;		/* container or iommufd; -1 if not opened by us */
	uint32_t ioas;		/* of the iommufd; 0 for a container */
	bool no_iommu;		/* its DMA is not limited */
	char bdf[VDB_BDF_SIZE];	/* "" if not known */
};

struct vdb_slice {
	enum vdb_kind kind;
	int fd;			/* a DMABUF, or a memfd */
	int event_fd;		/* -1: not watched */
	char bdf[VDB_BDF_SIZE];
	unsigned int bar;
	unsigned int flags;
	uint64_t offset;
	uint64_t length;
	uint64_t iova;		/* of memory */
	uint64_t page;		/* smallest part that can be mapped */
	enum vdb_state state;	/* as last read from event_fd; of memory: as far as this process knows */
	uint64_t changes;
};

/*
 * Sizes of the structs of version 0.1, up to their last member.  Programs have no
 * smaller ones, so these sizes do not change when the structs grow.
 */
#define VDB_UP_TO(type, member)	(offsetof(struct type, member) + sizeof(((struct type *)NULL)->member))
#define VDB_FIRST_BAR		VDB_UP_TO(vdb_bar, is_64bit)
#define VDB_FIRST_BUFFER	VDB_UP_TO(vdb_buffer, dma_maps)
#define VDB_FIRST_LEASE		VDB_UP_TO(vdb_lease, slice)
#define VDB_FIRST_EVENT		VDB_UP_TO(vdb_event, slice)
#define VDB_FIRST_STATUS	VDB_UP_TO(vdb_status, problem)
#define VDB_FIRST_NEWS		VDB_UP_TO(vdb_news, reason)

/* Whether the caller's struct is large enough; otherwise errno is EINVAL. */
bool vdb_is_size(size_t size, size_t first);
/* Fills in the caller's struct of @size bytes from ours of @known bytes. */
void vdb_fill(void *to, size_t size, const void *from, size_t known);

/*
 * Bytes of a huge page, which takes the place of a table of pages (level 1), or of a table
 * of these tables (level 2).  A table is one page of entries of 8 bytes: with pages of
 * 4 KiB these are 2 MiB and 1 GiB.  A machine does not have to have them.
 */
static inline uint64_t vdb_huge_page(unsigned int level)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return level > 1 ? page * (page / 8) * (page / 8) : page * (page / 8);
}

/* An event fd of a buffer, by its DMABUF fd; or -1. */
int vdb_watch_fd(const struct vdb_device *device, int dmabuf_fd);

/* The buffer of a DMABUF fd; 0 or -1. */
int vdb_describe_fd(const struct vdb_device *device, int fd, struct vdb_buffer *buffer);

#endif
