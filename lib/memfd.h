/* SPDX-License-Identifier: MIT */
/* The memfd of a memory slice. */
#ifndef VDB_MEMFD_H
#define VDB_MEMFD_H

#include <stdint.h>

/* One of that size, which cannot change; -1 with errno. */
int vdb_memfd_create(uint64_t length, unsigned int flags);
/* Makes it read-only if @flags say so, and its seals final.  0, or -1 with errno. */
int vdb_memfd_seal(int fd, unsigned int flags);
/* A number that no other memfd has at the same time; 0 if @fd is not a file. */
uint64_t vdb_memfd_number(int fd);

#endif
