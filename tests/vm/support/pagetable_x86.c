// SPDX-License-Identifier: MIT
/* Page table entries of x86-64. */
#ifdef __x86_64__
#include "pagetable_entry.h"

#include <stddef.h>

#define PRESENT		(1ULL << 0)
#define WRITABLE	(1ULL << 1)
#define PWT		(1ULL << 3)
#define PCD		(1ULL << 4)
#define PAT_SMALL	(1ULL << 7)	/* in a huge entry: that it is huge */
#define PAT_HUGE	(1ULL << 12)
#define FRAME		0x000ffffffffff000ULL

/* The types that Linux puts into the PAT register's first half. */
static enum memory_type type_of(uint64_t entry, unsigned int shift)
{
	static const enum memory_type types[] = {
		TYPE_WB, TYPE_WC, TYPE_UC_MINUS, TYPE_UC,
	};

	if (!(entry & PRESENT))
		return TYPE_NONE;
	if (entry & (shift == 12 ? PAT_SMALL : PAT_HUGE))
		return TYPE_OTHER;
	return types[(entry & PWT ? 1 : 0) + (entry & PCD ? 2 : 0)];
}

struct page_entry pagetable_decode(uint64_t entry, unsigned int shift)
{
	uint64_t size = 1ULL << shift;

	return (struct page_entry){
		.type = type_of(entry, shift),
		.size = size,
		.frame = entry & FRAME & -size,
		.writable = entry & WRITABLE,
	};
}

const char *no_gigabyte_pages(void)
{
	return NULL;
}
#endif
