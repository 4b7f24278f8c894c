/* SPDX-License-Identifier: MIT */
/* The addresses of an IO address space. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iova.h"

/* Index of the first range that ends at or after @address. */
static size_t first_from(const struct vdb_iova_space *space, uint64_t address)
{
	size_t low = 0, high = space->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (space->taken[middle].range.last < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first address from @from on that is aligned as wished; false: there is none. */
static bool aligned_from(uint64_t from, const struct vdb_iova_wish *wish, uint64_t *at)
{
	*at = from + ((wish->phase - from) & (wish->align - 1));
	return *at >= from;
}

static bool find_in(const struct vdb_iova_space *space, uint64_t first, uint64_t last,
		    const struct vdb_iova_wish *wish, uint64_t *iova)
{
	size_t i = first_from(space, first);
	uint64_t at;

	while (aligned_from(first, wish, &at) && at <= last && last - at >= wish->length - 1) {
		while (i < space->nr && space->taken[i].range.last < at)
			i++;
		if (i == space->nr || space->taken[i].range.first > at + (wish->length - 1)) {
			*iova = at;
			return true;
		}
		if (space->taken[i].range.last >= last)
			return false;
		first = space->taken[i].range.last + 1;
	}
	return false;
}

static bool find_from(const struct vdb_iova_space *space, uint64_t from,
		      const struct vdb_iova_range *usable, size_t nr,
		      const struct vdb_iova_wish *wish, uint64_t *iova)
{
	if (from < wish->within.first)
		from = wish->within.first;
	for (size_t i = 0; i < nr; i++) {
		uint64_t first = usable[i].first > from ? usable[i].first : from;
		uint64_t last = usable[i].last < wish->within.last ? usable[i].last : wish->within.last;

		if (first <= last && find_in(space, first, last, wish, iova))
			return true;
	}
	return false;
}

bool vdb_iova_find(struct vdb_iova_space *space, const struct vdb_iova_range *usable, size_t nr,
		   const struct vdb_iova_wish *wish, uint64_t *iova)
{
	if (!find_from(space, space->next, usable, nr, wish, iova) &&
	    !find_from(space, 0, usable, nr, wish, iova))
		return false;
	/* At the end of all addresses this is 0, which is right. */
	space->next = *iova + wish->length;
	return true;
}

int vdb_iova_take(struct vdb_iova_space *space, uint64_t iova, uint64_t length, bool foreign)
{
	uint64_t last = iova + (length - 1);
	size_t i;

	if (!length || last < iova) {
		errno = EINVAL;
		return -1;
	}
	i = first_from(space, iova);
	if (i < space->nr && space->taken[i].range.first <= last) {
		errno = EEXIST;
		return -1;
	}
	if (space->nr == space->room) {
		size_t room = space->room ? 2 * space->room : 16;
		struct vdb_iova_taken *taken = reallocarray(space->taken, room, sizeof(*taken));

		if (!taken)
			return -1;
		space->taken = taken;
		space->room = room;
	}
	memmove(&space->taken[i + 1], &space->taken[i], (space->nr - i) * sizeof(space->taken[0]));
	space->taken[i] = (struct vdb_iova_taken){ .range = { iova, last }, .foreign = foreign };
	space->nr++;
	return 0;
}

bool vdb_iova_has(const struct vdb_iova_space *space, uint64_t iova, uint64_t length)
{
	size_t i = first_from(space, iova);

	return length && i < space->nr && !space->taken[i].foreign &&
	       space->taken[i].range.first == iova && space->taken[i].range.last == iova + (length - 1);
}

uint64_t *vdb_iova_tag(struct vdb_iova_space *space, uint64_t iova)
{
	return &space->taken[first_from(space, iova)].tag;
}

void vdb_iova_give(struct vdb_iova_space *space, uint64_t iova)
{
	size_t i = first_from(space, iova);

	space->nr--;
	memmove(&space->taken[i], &space->taken[i + 1], (space->nr - i) * sizeof(space->taken[0]));
}

void vdb_iova_free(struct vdb_iova_space *space)
{
	free(space->taken);
	*space = (struct vdb_iova_space){ 0 };
}
