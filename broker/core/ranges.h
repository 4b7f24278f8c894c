/* SPDX-License-Identifier: MIT */
/* The bytes of a device's BARs that leases take. */
#ifndef CORE_RANGES_H
#define CORE_RANGES_H

#include "lease.h"

struct place {
	uint64_t offset, length;
	uint32_t bar;
};

struct taken {
	struct place place;
	struct lease *lease;
};

/* Sorted by place. */
struct ranges {
	struct taken *taken;
	size_t nr, room;
	uint64_t longest;	/* none of them is longer */
};

bool ranges_reserve(struct ranges *ranges, size_t nr);
/* Needs room. */
void ranges_add(struct ranges *ranges, const struct place *place, struct lease *lease);
void ranges_remove(struct ranges *ranges, const struct place *place, const struct lease *lease);
/* The first that does not begin before @place; ranges->nr if there is none. */
size_t ranges_from(const struct ranges *ranges, const struct place *place);
bool ranges_overlap(const struct ranges *ranges, const struct place *place);
void ranges_clear(struct ranges *ranges);
void ranges_free(struct ranges *ranges);

#endif
