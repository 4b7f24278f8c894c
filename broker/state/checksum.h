/* SPDX-License-Identifier: MIT */
/*
 * The state's checksum: the low half of XXH3.  It is inline, because it is often of some
 * bytes only.
 */
#ifndef STATE_CHECKSUM_H
#define STATE_CHECKSUM_H

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint32_t checksum(const void *bytes, size_t size)
{
	return (uint32_t)XXH3_64bits(bytes, size);
}

#endif
