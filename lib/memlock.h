/* SPDX-License-Identifier: MIT */
/* The limit of the memory that a process can lock.  It also limits memory for DMA. */
#ifndef VDB_MEMLOCK_H
#define VDB_MEMLOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether RLIMIT_MEMLOCK is why @length bytes could not be pinned; if so, why in words.
 * @per_user: what all processes of the user have pinned counts, of which @known is
 * known; otherwise what this process has locked counts.
 */
bool vdb_memlock_exceeded(uint64_t known, uint64_t length, bool per_user, char *error);

#endif
