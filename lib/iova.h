/* SPDX-License-Identifier: MIT */
/*
 * The addresses of an IO address space: which of them are taken, and where there is room.
 * This does not call the kernel: the caller passes the usable ranges.
 *
 * The search continues where the last one ended, and begins again at the bottom when it
 * reaches the top.  So an address that was freed is used again as late as possible.  A
 * device may still have it in a queue.
 */
#ifndef VDB_IOVA_H
#define VDB_IOVA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both inclusive, so that a range can end at the last address of all. */
struct vdb_iova_range {
	uint64_t first;
	uint64_t last;
};

struct vdb_iova_taken {
	struct vdb_iova_range range;
	bool foreign;		/* mapped by others: not ours to unmap */
	uint64_t tag;		/* of the caller; 0 at first */
};

struct vdb_iova_space {
	struct vdb_iova_taken *taken;	/* ascending, apart from each other */
	size_t nr;
	size_t room;
	uint64_t next;		/* where the search begins */
};

struct vdb_iova_wish {
	uint64_t length;	/* not 0 */
	uint64_t align;		/* a power of two */
	uint64_t phase;		/* of the address, modulo align */
	struct vdb_iova_range within;
};

/*
 * A place for @wish that is in one of the @usable ranges and is not taken.  @usable is
 * ascending.  Takes nothing.  False: there is none.
 */
bool vdb_iova_find(struct vdb_iova_space *space, const struct vdb_iova_range *usable, size_t nr,
		   const struct vdb_iova_wish *wish, uint64_t *iova);

/* 0; -1 with EINVAL if there is no such range, EEXIST if part of it is taken, ENOMEM. */
int vdb_iova_take(struct vdb_iova_space *space, uint64_t iova, uint64_t length, bool foreign);

/* Whether exactly this range was taken, and not as foreign. */
bool vdb_iova_has(const struct vdb_iova_space *space, uint64_t iova, uint64_t length);

/* The tag of a range that vdb_iova_has() says true for: the caller's, to be changed. */
uint64_t *vdb_iova_tag(struct vdb_iova_space *space, uint64_t iova);

/* Of such a range. */
void vdb_iova_give(struct vdb_iova_space *space, uint64_t iova);

void vdb_iova_free(struct vdb_iova_space *space);

#endif
