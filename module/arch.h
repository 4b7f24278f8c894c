/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between architectures, and nothing else: how an entry is put into
 * the page table of a process.
 *
 * The entry is special, the slot is none, and the page table's lock is held.  A slot
 * that becomes valid needs no TLB maintenance on any architecture here.
 */
#ifndef _DVP_ARCH_H
#define _DVP_ARCH_H

#include <linux/mm.h>
#include <linux/pgtable.h>
#include "compat.h"

#ifdef CONFIG_ARM64
/*
 * set_pte_at() and set_pmd_at() are inline and can call mte_sync_tags(), which
 * modules cannot.  What they do beyond set_pte() and set_pmd() does not concern an
 * entry that is special in a slot that is none: caches of instructions and MTE tags
 * are those of pages (a special entry has none), only a slot that was part of a
 * contiguous range is unfolded, and only entries of folios are folded into one.
 * The accounting of CONFIG_PAGE_TABLE_CHECK is left, and done here: the kernel stops
 * if an entry is cleared that was not accounted for.
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
