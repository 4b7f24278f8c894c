// SPDX-License-Identifier: MIT
/* Page table entries of arm64, with pages of any size. */
#ifdef __aarch64__
#include "pagetable_entry.h"

#define VALID		(1ULL << 0)
#define ATTRIBUTE(entry) ((entry) >> 2 & 7)
/* Dirty bit modifier: Linux sets it in entries that can be written. */
#define DBM		(1ULL << 51)
/* Those of an output address of 50 bits; with less, the highest two are 0. */
#define FRAME		0x0003fffffffff000ULL

/* The attributes that Linux puts into MAIR_EL1. */
static enum memory_type type_of(uint64_t entry)
{
	static const enum memory_type types[] = {
		[0] = TYPE_WB,
		[1] = TYPE_OTHER,	/* with tags */
		[2] = TYPE_WC,		/* Normal, not cacheable */
		[3] = TYPE_UC_MINUS,	/* Device-nGnRnE */
		[4] = TYPE_UC,		/* Device-nGnRE */
		[5 ... 7] = TYPE_OTHER,
	};

	return entry & VALID ? types[ATTRIBUTE(entry)] : TYPE_NONE;
}

struct page_entry pagetable_decode(uint64_t entry, unsigned int shift)
{
	uint64_t size = 1ULL << shift;

	return (struct page_entry){
		.type = type_of(entry),
		.size = size,
		.frame = entry & FRAME & -size,
		.writable = entry & DBM,
	};
}

const char *no_gigabyte_pages(void)
{
	return "Linux maps no PFNs with pages of 1 GiB on arm64";
}
#endif
