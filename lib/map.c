/* SPDX-License-Identifier: MIT */
/* Mapping a slice at an address where huge pages fit. */
#include <errno.h>
#include <sys/mman.h>

#include "internal.h"

/*
 * A huge page needs address and physical address to be equal modulo its size.
 * The physical address is not known here. But a BAR is aligned to its own size,
 * so the offset in the BAR is enough: a BAR smaller than a huge page has no
 * huge pages.
 */
static uint64_t alignment(size_t length)
{
	if (length >= vdb_huge_page(2))
		return vdb_huge_page(2);
	if (length >= vdb_huge_page(1))
		return vdb_huge_page(1);
	return 0;
}

/*
 * An address that is not used now, and that is @place modulo @align.  It is
 * free, not reserved.  If mmap() over a reservation fails, as it does for a
 * revoked slice, kernels leave a hole.  Another thread could fill the hole
 * before it is unmapped.
 */
static void *find_address(uint64_t place, size_t length, uint64_t align)
{
	char *space = mmap(NULL, length + align, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (space == MAP_FAILED)
		return NULL;
	munmap(space, length + align);
	return space + (place - (uintptr_t)space) % align;
}

/*
 * The length; or 0 with EINVAL if that is not a part of the slice, or with ENOMEM if it
 * is larger than the address space of a 32-bit process.
 */
static size_t part(const struct vdb_slice *slice, uint64_t offset, size_t length)
{
	if (!length && offset < slice->length) {
		uint64_t rest = slice->length - offset;

		length = rest;
		if (length != rest) {
			errno = ENOMEM;
			return 0;
		}
	}
	if (!length || offset % slice->page || length % slice->page ||
	    offset > slice->length || length > slice->length - offset) {
		errno = EINVAL;
		return 0;
	}
	return length;
}

void *vdb_slice_map(const struct vdb_slice *slice, uint64_t offset,
		    size_t length, int prot)
{
	void *wish, *address;
	uint64_t align;

	length = part(slice, offset, length);
	if (!length)
		return NULL;
	align = alignment(length);
	do {
		wish = align ? find_address(slice->offset + offset, length, align) : NULL;
		address = mmap(wish, length, prot,
			       MAP_SHARED | (wish ? MAP_FIXED_NOREPLACE : 0),
			       slice->fd, offset);
	} while (address == MAP_FAILED && errno == EEXIST && wish);
	if (address != MAP_FAILED)
		return address;
	/*
	 * If a memfd is sealed against writing, the kernel says EPERM.  For a DMABUF it
	 * says EACCES.
	 */
	if (errno == EPERM && slice->flags & VDB_FLAG_READ_ONLY)
		errno = EACCES;
	return NULL;
}

int vdb_slice_unmap(const struct vdb_slice *slice, void *address, uint64_t offset,
		    size_t length)
{
	length = part(slice, offset, length);
	return length ? munmap(address, length) : -1;
}
