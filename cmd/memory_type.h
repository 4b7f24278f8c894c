/* SPDX-License-Identifier: MIT */
/*
 * The memory type that the CPU uses for a mapping of a BAR.
 *
 * The driver's page table entries have the buffer's attribute, uncached or
 * write-combining.  On x86, the CPU's memory type range registers (MTRRs) also count.
 * They do not change write-combining entries.  Uncached entries (UC-) are
 * write-combining where an MTRR says so.
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

/* The list is empty if the CPU has no MTRRs. */
void mtrrs_read(struct mtrrs *mtrrs);
/* The type of a mapping at a physical address, whose entries are write-combining or uncached. */
enum memory_type memory_type_of(const struct mtrrs *mtrrs, bool write_combining, uint64_t address, uint64_t length);

#endif
