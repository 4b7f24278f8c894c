// SPDX-License-Identifier: MIT
/* The IO address space of the owner's device, and memory in it. */
#include "space.h"

#include "suite.h"

struct vdb_dma *space_of(const struct vdb_device *device)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_dma *dma = vdb_dma_from_device(device, error);

	ck_assert_msg(dma, "%s", error);
	return dma;
}

struct vdb_slice *space_alloc(struct vdb_dma *dma, uint64_t length, unsigned int flags)
{
	struct vdb_slice *slice = vdb_memory_alloc(dma, length, flags);

	ck_assert_msg(slice, "%s", vdb_dma_error(dma));
	return slice;
}

void check_filled(const void *at, unsigned char with, size_t length)
{
	const unsigned char *bytes = at;

	for (size_t i = 0; i < length; i++)
		if (bytes[i] != with)
			ck_abort_msg("byte %zu is %#x, not %#x", i, bytes[i], with);
}
