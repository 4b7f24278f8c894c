/* SPDX-License-Identifier: MIT */
/* Mapping a slice where huge pages fit. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define MIB2	(2ULL << 20)
#define GIB	(1ULL << 30)

/*
 * A huge page needs address and physical address to be equal modulo its size.
 * The physical address is not known here, but a BAR is aligned to its own size,
 * so the offset in the BAR will do: a BAR smaller than a huge page holds none.
 */
static uint64_t alignment(size_t length)
{
	if (length >= GIB)
		return GIB;
	if (length >= MIB2)
		return MIB2;
	return 0;
}

void *vdb_slice_map(const struct vdb_slice *slice, uint64_t offset,
		    size_t length, int prot)
{
	uint64_t page = sysconf(_SC_PAGESIZE), align, skip;
	char *space, *address;

	if (!length && offset < slice->length)
		length = slice->length - offset;
	if (!length || offset % page || length % page ||
	    offset > slice->length || length > slice->length - offset) {
		errno = EINVAL;
		return NULL;
	}

	align = alignment(length);
	if (!align) {
		address = mmap(NULL, length, prot, MAP_SHARED, slice->fd, offset);
		return address == MAP_FAILED ? NULL : address;
	}

	space = mmap(NULL, length + align, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		return NULL;
	skip = (slice->offset + offset - (uintptr_t)space) % align;
	address = mmap(space + skip, length, prot, MAP_SHARED | MAP_FIXED,
		       slice->fd, offset);
	if (address == MAP_FAILED) {
		int error = errno;

		munmap(space, length + align);
		errno = error;
		return NULL;
	}
	if (skip)
		munmap(space, skip);
	if (align - skip)
		munmap(address + length, align - skip);
	return address;
}

int vdb_slice_unmap(void *address, size_t length)
{
	return munmap(address, length);
}
