/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "ranges.h"

bool ranges_reserve(struct ranges *ranges, size_t nr)
{
	size_t room = ranges->room ? ranges->room : 16;
	struct taken *taken;

	while (room < nr)
		room *= 2;
	if (room == ranges->room)
		return true;
	taken = realloc(ranges->taken, room * sizeof(*taken));
	if (!taken)
		return false;
	ranges->taken = taken;
	ranges->room = room;
	return true;
}

static bool is_before(const struct place *a, uint32_t bar, uint64_t offset)
{
	return a->bar != bar ? a->bar < bar : a->offset < offset;
}

/* The first one that does not begin before @offset. */
static size_t position(const struct ranges *ranges, uint32_t bar, uint64_t offset)
{
	size_t low = 0, high = ranges->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (is_before(&ranges->taken[middle].place, bar, offset))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t ranges_from(const struct ranges *ranges, const struct place *place)
{
	return position(ranges, place->bar, place->offset);
}

void ranges_add(struct ranges *ranges, const struct place *place, struct lease *lease)
{
	size_t at = position(ranges, place->bar, place->offset);

	memmove(ranges->taken + at + 1, ranges->taken + at,
		(ranges->nr - at) * sizeof(*ranges->taken));
	ranges->taken[at] = (struct taken){ *place, lease };
	ranges->nr++;
	if (ranges->longest < place->length)
		ranges->longest = place->length;
}

void ranges_remove(struct ranges *ranges, const struct place *place, const struct lease *lease)
{
	size_t at = position(ranges, place->bar, place->offset);

	while (ranges->taken[at].lease != lease)
		at++;
	ranges->nr--;
	memmove(ranges->taken + at, ranges->taken + at + 1,
		(ranges->nr - at) * sizeof(*ranges->taken));
	if (!ranges->nr)
		ranges->longest = 0;
}

bool ranges_overlap(const struct ranges *ranges, const struct place *place)
{
	/* A range that begins earlier ends before the place. */
	uint64_t from = place->offset > ranges->longest ? place->offset - ranges->longest : 0;

	for (size_t i = position(ranges, place->bar, from); i < ranges->nr; i++) {
		const struct place *other = &ranges->taken[i].place;

		if (other->bar != place->bar || other->offset >= place->offset + place->length)
			return false;
		if (place->offset < other->offset + other->length)
			return true;
	}
	return false;
}

void ranges_clear(struct ranges *ranges)
{
	ranges->nr = 0;
	ranges->longest = 0;
}

void ranges_free(struct ranges *ranges)
{
	free(ranges->taken);
	*ranges = (struct ranges){ 0 };
}
