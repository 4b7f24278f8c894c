/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli), as in RFC 3720, appendix B.4. */
#ifndef STATE_CRC32C_H
#define STATE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* @sum: of the bytes before; 0: there are none.  Only one thread can call it. */
uint32_t crc32c(uint32_t sum, const void *data, size_t size);
/* The same on machines without an instruction for it. */
uint32_t crc32c_by_table(uint32_t sum, const void *data, size_t size);

#endif
