/* SPDX-License-Identifier: MIT */
/* What the library's files share, and nobody else sees. */
#ifndef VDB_INTERNAL_H
#define VDB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
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
 * Bytes of the structs of version 0.1, up to their last member then.  No program has
 * smaller ones, so these sizes stay when the structs grow.
 */
#define VDB_UP_TO(type, member)	(offsetof(struct type, member) + sizeof(((struct type *)NULL)->member))
#define VDB_FIRST_BAR		VDB_UP_TO(vdb_bar, is_64bit)
#define VDB_FIRST_BUFFER	VDB_UP_TO(vdb_buffer, dma_maps)
#define VDB_FIRST_LEASE		VDB_UP_TO(vdb_lease, slice)
#define VDB_FIRST_EVENT		VDB_UP_TO(vdb_event, slice)
#define VDB_FIRST_STATUS	VDB_UP_TO(vdb_status, problem)

/* Whether the caller's struct can be filled in; otherwise errno is EINVAL. */
bool vdb_is_size(size_t size, size_t first);
/* Fills in the caller's struct of @size bytes from ours of @known bytes. */
void vdb_fill(void *to, size_t size, const void *from, size_t known);

/* Closes an fd, unless it is -1, and keeps errno. */
void vdb_close(int fd);

/* An event fd of a buffer, by its DMABUF fd; or -1. */
int vdb_watch_fd(const struct vdb_device *device, int dmabuf_fd);

/* The buffer behind a DMABUF fd; 0 or -1. */
int vdb_describe_fd(const struct vdb_device *device, int fd, struct vdb_buffer *buffer);

/*
 * sendmsg() and recvmsg() of one message with fds.  All that are received are
 * in @fds, -1 behind them; more than @max are closed and make it EPROTO, as do
 * fds without a byte of data.  0: the other end is closed.
 *
 * @lost: the data is there, but not all fds could be opened, so none is: this
 * process has as many as it may (or a security module forbids them, which looks
 * the same).
 */
int vdb_send_fds(int socket, const void *data, size_t size, const int *fds,
		 unsigned int nr);
ssize_t vdb_receive_fds(int socket, void *data, size_t size, int *fds,
			unsigned int max, int flags, bool *lost);

#endif
