/* SPDX-License-Identifier: MIT */
/* A slice of memory: a memfd that no holder of it can shrink or grow. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/fds.h"
#include "dma.h"
#include "memfd.h"

/* As the kernel has it since Linux 6.3; the C library's headers may be older. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	8U
#endif

#define SIZE_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)

int vdb_memfd_create(uint64_t length, unsigned int flags)
{
	unsigned int how = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (flags & VDB_FLAG_HUGE)
		how |= MFD_HUGETLB | (unsigned int)__builtin_ctzll(vdb_huge_page(1)) << MFD_HUGE_SHIFT;
	fd = memfd_create("vfio-dmabuf", how | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("vfio-dmabuf", how);
	if (fd < 0)
		return -1;
	if (!ftruncate(fd, (off_t)length) && !fcntl(fd, F_ADD_SEALS, SIZE_SEALS))
		return fd;
	fd_close(fd);
	return -1;
}

/* After it was mapped for the device: that needs a writable mapping. */
int vdb_memfd_seal(int fd, unsigned int flags)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL |
		     (flags & VDB_FLAG_READ_ONLY ? F_SEAL_FUTURE_WRITE : 0));
}

uint64_t vdb_memfd_number(int fd)
{
	struct stat st;

	/* Memfds of huge pages have a file system of their own. */
	return fstat(fd, &st) ? 0 : (uint64_t)st.st_ino << 16 | (st.st_dev & 0xffff);
}

void *vdb_dma_map_file_here(const struct vdb_dma_source *source)
{
	void *address = mmap(NULL, source->length, PROT_READ | PROT_WRITE, MAP_SHARED, source->fd, 0);

	return address == MAP_FAILED ? NULL : address;
}

/* Whether the fd allows the mappings that @flags promise. */
static bool can_be_mapped(int fd, unsigned int flags)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;

	return mode == O_RDWR || (mode == O_RDONLY && flags & VDB_FLAG_READ_ONLY);
}

/* Whether it is sealed as @flags say, for good. */
static bool is_sealed(int fd, unsigned int flags)
{
	int seals = fcntl(fd, F_GET_SEALS);
	bool read_only = seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);

	return seals >= 0 && (seals & SIZE_SEALS) == SIZE_SEALS && seals & F_SEAL_SEAL &&
	       read_only == !!(flags & VDB_FLAG_READ_ONLY);
}

struct vdb_slice *vdb_memory_from_fd(int fd, uint64_t iova, unsigned int flags)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	struct vdb_slice *slice;
	struct statfs fs;
	struct stat st;

	/* Only a sealed file keeps its size, and only memfds can be sealed. */
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return NULL;
	if (flags & ~(VDB_FLAG_READ_ONLY | VDB_FLAG_DMA_READ_ONLY) || !is_sealed(fd, flags) ||
	    !can_be_mapped(fd, flags)) {
		errno = EINVAL;
		return NULL;
	}
	/* The kernel maps huge pages as a whole only. */
	if ((uint32_t)fs.f_type == HUGETLBFS_MAGIC) {
		page = st.st_blksize;
		flags |= VDB_FLAG_HUGE;
	}
	if (st.st_size <= 0 || st.st_size % page || iova % (uint64_t)sysconf(_SC_PAGESIZE) ||
	    iova + ((uint64_t)st.st_size - 1) < iova) {
		errno = EINVAL;
		return NULL;
	}
	slice = calloc(1, sizeof(*slice));
	if (!slice)
		return NULL;
	slice->kind = VDB_KIND_MEMORY;
	slice->fd = fd;
	slice->event_fd = -1;
	slice->flags = flags;
	slice->iova = iova;
	slice->length = st.st_size;
	slice->page = page;
	return slice;
}
