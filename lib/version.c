/* SPDX-License-Identifier: MIT */
/* The library's version, and structs whose size depends on the program's. */
#include <errno.h>
#include <string.h>

#include "internal.h"

unsigned int vdb_version(void)
{
	return VDB_VERSION;
}

bool vdb_is_size(size_t size, size_t first)
{
	if (size < first)
		errno = EINVAL;
	return size >= first;
}

void vdb_fill(void *to, size_t size, const void *from, size_t known)
{
	size_t both = size < known ? size : known;

	memcpy(to, from, both);
	memset((char *)to + both, 0, size - both);
}
