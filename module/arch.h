/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between architectures, and nothing else: how an entry is put into
 * the page table of a process.
 *
 * The entry is special, the slot is none, and the page table's lock is held.  There is
 * nothing to flush, because TLBs do not hold entries that are none.
 */
#ifndef _DVP_ARCH_H
#define _DVP_ARCH_H

#include <linux/mm.h>
#include <linux/pgtable.h>
#include "compat.h"

#ifdef CONFIG_ARM64
/*
 * set_pte_at() and set_pmd_at() are inline and can call mte_sync_tags(), which is not
 * exported.  What they do beyond set_pte() and set_pmd() does not concern a special
 * entry in a slot that is none:
 *
 * - Instruction caches and MTE tags are those of pages, and a special entry has none.
 * - Only a slot that is part of a contiguous range is unfolded.
 * - Special entries are never folded into a contiguous range.
 *
 * The accounting of CONFIG_PAGE_TABLE_CHECK is left, and done here: the kernel stops
 * if it clears an entry that was not counted when it was set.
 */
static inline void dvp_set_pte(struct mm_struct *mm, unsigned long addr,
			       pte_t *ptep, pte_t pte)
{
	dvp_check_pte_set(mm, addr, ptep, pte);
	set_pte(ptep, pte);
}

static inline void dvp_set_pmd(struct mm_struct *mm, unsigned long addr,
			       pmd_t *pmdp, pmd_t pmd)
{
	dvp_check_pmd_set(mm, addr, pmdp, pmd);
	set_pmd(pmdp, pmd);
}
#else
#define dvp_set_pte	set_pte_at
#define dvp_set_pmd	set_pmd_at
#endif

#endif
