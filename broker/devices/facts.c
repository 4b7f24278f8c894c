/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>

#include "facts.h"

static bool ends_within(const struct slice *slice, uint64_t room, uint64_t *end)
{
	return !__builtin_mul_overflow(slice->length, (uint64_t)slice->count, end) &&
	       !__builtin_add_overflow(*end, slice->offset, end) && *end <= room;
}

/* Registers are in the BAR itself, not in the rest of its page. */
static bool registers_fit(const struct slice *slice, uint64_t size)
{
	uint64_t last = slice->offset + (slice->count - 1) * slice->length;

	for (uint32_t i = 0; i < slice->actions.nr; i++) {
		const struct register_write *write = &slice->actions.writes[i];

		if (write->offset > slice->length || last + write->offset + write->width / 8 > size)
			return false;
	}
	return true;
}

bool facts_fit(const struct facts *facts, const char *bdf, const struct slice *slice, char *why,
	       size_t size)
{
	uint64_t bytes, room, end = 0;

	if (slice->bar >= BARS || !facts->bars[slice->bar].mappable) {
		snprintf(why, size, "%s: BAR %u of %s cannot be mapped; name another one",
			 slice->name, slice->bar, bdf);
		return false;
	}
	bytes = facts->bars[slice->bar].size;
	room = (bytes + facts->page - 1) & ~(facts->page - 1);
	if (!ends_within(slice, room, &end)) {
		snprintf(why, size, "%s: it ends at 0x%" PRIx64 ", BAR %u of %s at 0x%" PRIx64,
			 slice->name, end, slice->bar, bdf, room);
		return false;
	}
	if (!registers_fit(slice, bytes)) {
		snprintf(why, size, "%s: a register of on_release is after the end of BAR %u of %s",
			 slice->name, slice->bar, bdf);
		return false;
	}
	if (slice->memory && !facts->memory) {
		snprintf(why, size, "%s: %s cannot have memory: %s", slice->name, bdf,
			 facts->no_memory);
		return false;
	}
	if (slice->actions.reset != RESET_NOT && !facts->can_be_reset) {
		snprintf(why, size, "%s: %s cannot be reset alone; set \"reset: never\", and use on_release instead",
			 slice->name, bdf);
		return false;
	}
	return true;
}
