/* SPDX-License-Identifier: MIT */
/*
 * The memory of leases.  All leases of a device are in its one IO address space.  The fd
 * store has the container or iommufd, and the memfd of each lease, so that both outlive
 * the process.
 *
 * Functions that return bool: false with a text in @why (@size bytes).
 */
#ifndef DEVICES_MEMORY_H
#define DEVICES_MEMORY_H

#include "operate.h"

/*
 * The device was opened: finds its IO address space, and puts that into the store.  If the
 * device has none, this succeeds, and held->facts says why.
 */
bool memory_open(struct held *held, char *why, size_t size);
/* The device was opened by a former process: the same, with the memory that leases have. */
bool memory_adopt(struct held *held, char *why, size_t size);
/* Unmaps what a former process has mapped and no lease has. */
bool memory_settle(struct held *held, char *why, size_t size);

/* New memory for a lease, mapped and in the store.  NULL: see @why. */
const struct lent_memory *memory_allocate(struct held *held, const struct job *job, char *why,
					  size_t size);
/* NULL: the lease has none. */
const struct lent_memory *memory_of(const struct held *held, uint64_t lease);
/* Unmaps and frees a lease's memory.  True if it has none. */
bool memory_free(struct held *held, uint64_t lease, char *why, size_t size);

/* The device is closed: all memory is unmapped, and freed. */
void memory_close(struct held *held);
/* Closes our fds.  What is in the store, and what is mapped, stays. */
void memory_leave(struct held *held);

#endif
