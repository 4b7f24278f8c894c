// SPDX-License-Identifier: GPL-2.0-only
/*
 * Putting PFNs of a BAR into page tables.
 *
 * vmf_insert_pfn() does not work here.  On x86 it uses the memory type that is
 * reserved for the PFN instead of the VMA's page protection.  vfio-pci-core has
 * reserved UC- for the whole BAR, so a write-combining VMA would silently be
 * uncached.  It also stops the kernel for a VM_MIXEDMAP VMA (slices are, see
 * mapping.c) if the PFN lies in a memory section that also has RAM. So entries are
 * made here, with the buffer's own attribute, marked special: the kernel never
 * looks them up as a page.
 *
 * Page tables are made first, with no lock of the device held, because that can
 * sleep.  Whether access is allowed is tested with the page table's lock held, and
 * entries are made before it is let go (dvp_access_begin() and dvp_access_end()).
 *
 * apply_to_page_range() warns if it meets a huge page, so none may appear between
 * the test of the entry and the walk.  Only a fault of the same buffer inserts
 * one: no other buffer has a VMA in that block of addresses.  So the walk holds
 * huge_lock for reading where a huge page would fit, and a huge page is inserted
 * only if a trylock of huge_lock for writing succeeds.  If it fails, small pages
 * are inserted.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "access.h"
#include "arch.h"
#include "buffer.h"
#include "insert.h"
#include "memattr.h"

/*
 * If the kernel wants to see the first write to each page (soft-dirty tracking,
 * for one), it leaves write permission out of vm_page_prot.  There are no pages
 * here to track, so entries get the permissions of the VMA's flags.
 */
static pgprot_t entry_prot(const struct vm_area_struct *vma)
{
	const struct dvp_buffer *buffer = vma->vm_private_data;

	return dvp_memattr_prot(vma, buffer->memattr);
}

struct pte_run {
	struct dvp_buffer *buffer;
	struct mm_struct *mm;
	const struct dvp_fill *fill;
	pgprot_t prot;
	bool tested;		/* access has the result */
	enum dvp_access access;
};

/*
 * Called with the page table's lock held, once: all pages of the run are in
 * this table, one after the other.
 */
static int insert_run(pte_t *pte, unsigned long addr, void *data)
{
	struct pte_run *run = data;
	unsigned long i;

	run->tested = true;
	run->access = dvp_access_begin(run->buffer);
	if (run->access != DVP_ACCESS_LIVE)
		return 0;

	for (i = 0; i < run->fill->nr; i++, pte++, addr += PAGE_SIZE) {
		/* Another thread can have set it; its entry is the same. */
		if (pte_none(ptep_get(pte)))
			dvp_set_pte(run->mm, addr, pte,
				    pte_mkspecial(pfn_pte(run->fill->pfn + i,
							  run->prot)));
	}
	dvp_access_end(run->buffer);
	return 0;
}

/*
 * MADV_DONTNEED in another thread can free the page table after it is made and
 * before it is locked (CONFIG_PT_RECLAIM).  Then apply_to_page_range() returns
 * -ENOMEM. The kernel's own faults are repeated in that case.
 */
#define TABLE_TRIES	8

static void walk(struct pte_run *run)
{
	const struct dvp_fill *fill = run->fill;
	unsigned int i;

	for (i = 0; i < TABLE_TRIES && !run->tested; i++) {
		if (fatal_signal_pending(current))
			break;
		apply_to_page_range(run->mm, fill->addr, PAGE_SIZE, insert_run,
				    run);
	}
}

static vm_fault_t insert_ptes(struct vm_fault *vmf, const struct dvp_fill *fill,
			      enum dvp_access *access)
{
	struct vm_area_struct *vma = vmf->vma;
	struct dvp_buffer *buffer = vma->vm_private_data;
	struct pte_run run = {
		.buffer = buffer,
		.mm = vma->vm_mm,
		.fill = fill,
		.prot = entry_prot(vma),
	};

	if (fill->beside_huge && down_read_killable(&buffer->huge_lock))
		return VM_FAULT_SIGBUS;

	/* Unless another thread has inserted a huge page, which has all of them. */
	if (!pmd_leaf(pmdp_get_lockless(vmf->pmd)))
		walk(&run);
	else
		run.tested = true;

	if (fill->beside_huge)
		up_read(&buffer->huge_lock);

	*access = run.access;
	if (run.tested)
		return VM_FAULT_NOPAGE;
	return fatal_signal_pending(current) ? VM_FAULT_SIGBUS : VM_FAULT_OOM;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
/*
 * An existing entry stays.  If it is a huge one that is write-protected, the kernel
 * removes it, with the TLB flush that this needs, and repeats the fault.
 */
static vm_fault_t insert_pmd(struct vm_fault *vmf, const struct dvp_fill *fill,
			     enum dvp_access *access)
{
	struct vm_area_struct *vma = vmf->vma;
	struct dvp_buffer *buffer = vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_FALLBACK;
	spinlock_t *ptl;	/* of the table that the entry stands in */
	pmd_t entry;

	/* Architectures that keep a spare page table for the split do not have huge PFNs. */
	if (arch_needs_pgtable_deposit())
		return VM_FAULT_FALLBACK;

	ptl = pmd_lock(vma->vm_mm, vmf->pmd);
	if (!pmd_none(*vmf->pmd)) {
		if (pmd_leaf(*vmf->pmd) &&
		    (!(vmf->flags & FAULT_FLAG_WRITE) || pmd_write(*vmf->pmd)))
			ret = VM_FAULT_NOPAGE;
	} else if (down_write_trylock(&buffer->huge_lock)) {
		ret = VM_FAULT_NOPAGE;
		*access = dvp_access_begin(buffer);
		if (*access == DVP_ACCESS_LIVE) {
			entry = pmd_mkhuge(pfn_pmd(fill->pfn, entry_prot(vma)));
			dvp_set_pmd(vma->vm_mm, fill->addr, vmf->pmd,
				    pmd_mkspecial(entry));
			update_mmu_cache_pmd(vma, fill->addr, vmf->pmd);
			dvp_access_end(buffer);
		}
		up_write(&buffer->huge_lock);
	}
	spin_unlock(ptl);
	return ret;
}
#else
static vm_fault_t insert_pmd(struct vm_fault *vmf, const struct dvp_fill *fill,
			     enum dvp_access *access)
{
	return VM_FAULT_FALLBACK;
}
#endif

#ifdef CONFIG_ARCH_SUPPORTS_PUD_PFNMAP
static vm_fault_t insert_pud(struct vm_fault *vmf, const struct dvp_fill *fill,
			     enum dvp_access *access)
{
	struct vm_area_struct *vma = vmf->vma;
	struct dvp_buffer *buffer = vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_FALLBACK;
	spinlock_t *ptl;	/* of the table that the entry stands in */
	pud_t entry;

	ptl = pud_lock(vma->vm_mm, vmf->pud);
	if (!pud_none(*vmf->pud)) {
		if (pud_leaf(*vmf->pud) &&
		    (!(vmf->flags & FAULT_FLAG_WRITE) || pud_write(*vmf->pud)))
			ret = VM_FAULT_NOPAGE;
	} else if (down_write_trylock(&buffer->huge_lock)) {
		ret = VM_FAULT_NOPAGE;
		*access = dvp_access_begin(buffer);
		if (*access == DVP_ACCESS_LIVE) {
			entry = pud_mkhuge(pfn_pud(fill->pfn, entry_prot(vma)));
			set_pud_at(vma->vm_mm, fill->addr, vmf->pud,
				   pud_mkspecial(entry));
			update_mmu_cache_pud(vma, fill->addr, vmf->pud);
			dvp_access_end(buffer);
		}
		up_write(&buffer->huge_lock);
	}
	spin_unlock(ptl);
	return ret;
}
#else
static vm_fault_t insert_pud(struct vm_fault *vmf, const struct dvp_fill *fill,
			     enum dvp_access *access)
{
	return VM_FAULT_FALLBACK;
}
#endif

/**
 * dvp_insert() - make pages of a BAR present
 * @vmf: the fault, in the VMA that @fill lies in
 * @fill: pages that lie in one run, one VMA and under one page table, or one
 *	huge page that is aligned in addresses and PFNs
 * @access: DVP_ACCESS_LIVE; set to why nothing was inserted
 *
 * Return: VM_FAULT_NOPAGE if the pages are present or @access says why not;
 * VM_FAULT_FALLBACK if a page of that size is not possible; VM_FAULT_OOM;
 * VM_FAULT_SIGBUS if the process is being killed.
 */
vm_fault_t dvp_insert(struct vm_fault *vmf, const struct dvp_fill *fill,
		      enum dvp_access *access)
{
	switch (fill->order) {
	case 0:
		return insert_ptes(vmf, fill, access);
	case PMD_ORDER:
		return insert_pmd(vmf, fill, access);
	case PUD_ORDER:
		return insert_pud(vmf, fill, access);
	}
	return VM_FAULT_FALLBACK;
}
