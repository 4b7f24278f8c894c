/* SPDX-License-Identifier: MIT */
/* The sizes of this machine's pages, in bytes. */
#ifndef TESTS_PAGE_H
#define TESTS_PAGE_H

unsigned long page_size(void);

/*
 * Of a huge page: what one entry of the next level of page tables maps (PMD), and one of the
 * level above that (PUD).  2 MiB and 1 GiB if a page has 4 KiB; 32 MiB and 64 GiB if it has
 * 16 KiB.  Not all kernels map devices with them.
 */
unsigned long pmd_size(void);
unsigned long pud_size(void);

#define PAGE		page_size()
#define PMD		pmd_size()
#define PUD		pud_size()
#define PMD_PAGES	(PMD / PAGE)

/* The file with the number of huge pages, PMD each, that memory can have. */
const char *page_reserve(void);

/*
 * Why registers that are 4 KiB apart cannot be lent without each other; NULL if they can.
 * In larger pages, an NVMe controller's doorbells are with its other registers, and a
 * virtual function's queues with its mailbox.
 */
const char *page_too_large(void);

/*
 * The number that a name such as "PAGE", "8PAGE" or "3PMD" stands for, in configurations
 * of the broker; 0 if it is not such a name.
 */
unsigned long page_number(const char *name);

/* Ranges as the driver lists them, of ranges in pages: "0x0+0x1000,0x8000+0x1000" of "0+1,8+1". */
const char *page_ranges(const char *pages);

#endif
