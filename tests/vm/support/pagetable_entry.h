/* SPDX-License-Identifier: MIT */
/* What one page table entry says: pagetable_<architecture>.c. */
#ifndef TESTS_PAGETABLE_ENTRY_H
#define TESTS_PAGETABLE_ENTRY_H

#include "pagetable.h"

/* An entry of a table whose entries map 1 << shift bytes. */
struct page_entry pagetable_decode(uint64_t entry, unsigned int shift);

#endif
