/* SPDX-License-Identifier: MIT */
/* The checksums of the state. */
#ifndef STATE_CHECKSUM_H
#define STATE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

/* The low half of XXH3. */
static inline uint32_t checksum(const void *bytes, size_t size)
{
	return (uint32_t)XXH3_64bits(bytes, size);
}

/* 16 bits, for 48.  A change of 16 bits or fewer, side by side, always changes it. */
static inline uint64_t checksum_of_word(uint64_t word)
{
	return (word ^ word >> 16 ^ word >> 32 ^ 0x5eed) & 0xffff;
}

#endif
