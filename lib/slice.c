/* SPDX-License-Identifier: MIT */
/* The slice as an object in this process. */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <fcntl.h>

#include "common/bdf.h"
#include "common/fds.h"
#include "internal.h"

/* The file system of every DMABUF, regardless of its exporter. */
#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC	0x444d4142
#endif

/* Bytes of a DMABUF, or -1 with errno if the fd is not a DMABUF. */
static int64_t dmabuf_size(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return -1;
	if (fs.f_type != DMA_BUF_MAGIC) {
		errno = EINVAL;
		return -1;
	}
	/* This changes nothing: a DMABUF has no file position. */
	return lseek(fd, 0, SEEK_END);
}

/* Whether its file is open for reading only. The exporter decides what that means. */
static bool is_read_only(int fd)
{
	return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

struct vdb_slice *vdb_slice_from_fd(int fd, int event_fd, const char *bdf,
				    unsigned int bar, uint64_t offset,
				    unsigned int flags)
{
	struct vdb_slice *slice;
	int64_t size = dmabuf_size(fd);

	if (size < 0)
		return NULL;
	if (bar >= VDB_BARS || flags & ~(VDB_FLAG_READ_ONLY | VDB_FLAG_WC) ||
	    !(flags & VDB_FLAG_READ_ONLY) != !is_read_only(fd) ||
	    offset % sysconf(_SC_PAGESIZE) || offset + size < offset) {
		errno = EINVAL;
		return NULL;
	}

	slice = calloc(1, sizeof(*slice));
	if (!slice)
		return NULL;
	if (bdf && *bdf && !bdf_parse(bdf, slice->bdf)) {
		free(slice);
		errno = EINVAL;
		return NULL;
	}
	slice->fd = fd;
	slice->event_fd = event_fd;
	slice->bar = bar;
	slice->offset = offset;
	slice->length = size;
	slice->page = sysconf(_SC_PAGESIZE);
	slice->flags = flags;
	return slice;
}

void vdb_slice_free(struct vdb_slice *slice)
{
	int error = errno;

	if (!slice)
		return;
	fd_close(slice->fd);
	fd_close(slice->event_fd);
	free(slice);
	errno = error;
}

int vdb_slice_fd(const struct vdb_slice *slice)
{
	return slice->fd;
}

int vdb_slice_event_fd(const struct vdb_slice *slice)
{
	return slice->event_fd;
}

const char *vdb_slice_bdf(const struct vdb_slice *slice)
{
	return slice->bdf;
}

unsigned int vdb_slice_bar(const struct vdb_slice *slice)
{
	return slice->bar;
}

uint64_t vdb_slice_offset(const struct vdb_slice *slice)
{
	return slice->offset;
}

uint64_t vdb_slice_length(const struct vdb_slice *slice)
{
	return slice->length;
}

enum vdb_kind vdb_slice_kind(const struct vdb_slice *slice)
{
	return slice->kind;
}

uint64_t vdb_slice_iova(const struct vdb_slice *slice)
{
	return slice->iova;
}

unsigned int vdb_slice_flags(const struct vdb_slice *slice)
{
	return slice->flags;
}
