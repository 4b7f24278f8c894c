/* SPDX-License-Identifier: MIT */
/*
 * How the CPU really treats a mapping of a BAR.
 *
 * The driver's page table entries have the buffer's attribute, uncached or
 * write-combining.  On x86, the CPU's memory type range registers (MTRRs) have a part in
 * it: write-combining entries are that whatever the MTRR says, but uncached ones (UC-)
 * become write-combining where an MTRR says so.
 */
#ifndef CMD_MEMORY_TYPE_H
#define CMD_MEMORY_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum memory_type {
	MEMORY_UNKNOWN,
	MEMORY_UNCACHED,
	MEMORY_WRITE_COMBINING,
	MEMORY_MIXED,		/* some of it is write-combining */
};

/* "uncached", "write-combining", "mixed"; NULL if it is not known. */
const char *memory_type_name(enum memory_type type);

struct mtrr {
	uint64_t base, size;
	enum mtrr_kind {
		MTRR_UNCACHED,
		MTRR_WRITE_COMBINING,
		MTRR_OTHER,
	} kind;
};

/* A line of /proc/mtrr. */
bool parse_mtrr(const char *line, struct mtrr *mtrr);

#define MTRRS	32

struct mtrrs {
	struct mtrr list[MTRRS];
	size_t nr;
};

/* None if the CPU has none. */
void mtrrs_read(struct mtrrs *mtrrs);
/* Of a mapping whose entries are write-combining, or uncached, at a physical address. */
enum memory_type memory_type_of(const struct mtrrs *mtrrs, bool write_combining, uint64_t address, uint64_t length);

#endif
