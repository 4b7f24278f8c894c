/* SPDX-License-Identifier: MIT */
/* The memory type that the CPU uses for a mapping of a BAR. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "memory_type.h"

const char *memory_type_name(enum memory_type type)
{
	static const char *const names[] = { NULL, "uncached", "write-combining", "mixed" };

	return names[type];
}

/* "reg03: base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: write-combining" */
bool parse_mtrr(const char *line, struct mtrr *mtrr)
{
	const char *size = strstr(line, "size="), *base = strstr(line, "base=");
	char unit, kind[32];

	*mtrr = (struct mtrr){ 0 };
	if (!size || !base || sscanf(base, "base=%" SCNx64, &mtrr->base) != 1 ||
	    sscanf(size, "size=%" SCNu64 "%cB, count=%*d: %31s", &mtrr->size, &unit, kind) != 3)
		return false;
	switch (unit) {
	case 'K':
		mtrr->size <<= 10;
		break;
	case 'M':
		mtrr->size <<= 20;
		break;
	default:
		return false;
	}
	if (!strcmp(kind, "uncachable"))
		mtrr->kind = MTRR_UNCACHED;
	else if (!strcmp(kind, "write-combining"))
		mtrr->kind = MTRR_WRITE_COMBINING;
	else
		mtrr->kind = MTRR_OTHER;
	return true;
}

void mtrrs_read(struct mtrrs *mtrrs)
{
	FILE *file = fopen("/proc/mtrr", "re");
	char line[256];

	mtrrs->nr = 0;
	while (file && mtrrs->nr < MTRRS && fgets(line, sizeof(line), file))
		if (parse_mtrr(line, &mtrrs->list[mtrrs->nr]))
			mtrrs->nr++;
	if (file)
		fclose(file);
}

/* Whether the byte is write-combining.  If several MTRRs contain it, uncached wins. */
static bool combines(const struct mtrrs *mtrrs, uint64_t address)
{
	bool combines = false;

	for (size_t i = 0; i < mtrrs->nr; i++) {
		const struct mtrr *mtrr = &mtrrs->list[i];

		if (address - mtrr->base >= mtrr->size)
			continue;
		if (mtrr->kind == MTRR_UNCACHED)
			return false;
		combines |= mtrr->kind == MTRR_WRITE_COMBINING;
	}
	return combines;
}

/* The first byte after @address where another MTRR begins or ends, or @end. */
static uint64_t next_bound(const struct mtrrs *mtrrs, uint64_t address, uint64_t end)
{
	for (size_t i = 0; i < mtrrs->nr; i++) {
		uint64_t bounds[] = { mtrrs->list[i].base, mtrrs->list[i].base + mtrrs->list[i].size };

		for (size_t j = 0; j < 2; j++)
			if (bounds[j] > address && bounds[j] < end)
				end = bounds[j];
	}
	return end;
}

enum memory_type memory_type_of(const struct mtrrs *mtrrs, bool write_combining, uint64_t address, uint64_t length)
{
	uint64_t end = address + length;
	bool some = false, all = true;

	if (write_combining)
		return MEMORY_WRITE_COMBINING;
	while (address < end) {
		bool this = combines(mtrrs, address);

		some |= this;
		all &= this;
		address = next_bound(mtrrs, address, end);
	}
	if (!some)
		return MEMORY_UNCACHED;
	return all ? MEMORY_WRITE_COMBINING : MEMORY_MIXED;
}
