// SPDX-License-Identifier: GPL-2.0-only
/*
 * Putting PFNs of a BAR into page tables.
 *
 * Why not vmf_insert_pfn(): on x86 it does not use the VMA's page protection
 * but the memory type that somebody has reserved for the PFN, and vfio-pci-core
 * has reserved UC- for all of the BAR.  A write-combining VMA ends up uncached
 * without a word.  It also stops the kernel for a VM_MIXEDMAP VMA (which
 * slices are, see mapping.c) if the PFN happens to lie in a memory section
 * that has RAM, too.  So entries are made here, with the buffer's own attribute,
 * marked special: never looked up as a page, by nobody.
 *
 * apply_to_page_range() warns of a huge page in its way, so none may appear
 * between the look at the entry and its walk.  Only a fault puts one there, and
 * the faults of a buffer, whose VMAs alone can share a block of addresses that a
 * huge page maps, come one at a time: fault_lock is held.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "buffer.h"
#include "insert.h"
#include "memattr.h"

/*
 * The kernel leaves the permission to write out of vm_page_prot where it wants
 * to see the first write to each page (soft-dirty tracking, for one).  There is
 * no page here to note it down for, so entries get what the VMA's flags say.
 */
static pgprot_t entry_prot(const struct vm_area_struct *vma)
{
	const struct dvp_buffer *buffer = vma->vm_private_data;

	return dvp_memattr_prot(vma, buffer->memattr);
}

struct pte_run {
	struct mm_struct *mm;
	unsigned long pfn;
	pgprot_t prot;
};

/* Called with the page table's lock held, for one page after the other. */
static int set_one_pte(pte_t *pte, unsigned long addr, void *data)
{
	struct pte_run *run = data;

	/* Another thread may have been here; its entry is the same. */
	if (pte_none(ptep_get(pte)))
		set_pte_at(run->mm, addr, pte,
			   pte_mkspecial(pfn_pte(run->pfn, run->prot)));
	run->pfn++;
	return 0;
}

static vm_fault_t insert_ptes(struct vm_fault *vmf, const struct dvp_fill *fill)
{
	struct vm_area_struct *vma = vmf->vma;
	struct pte_run run = {
		.mm = vma->vm_mm,
		.pfn = fill->pfn,
		.prot = entry_prot(vma),
	};

	/* Another thread has put a huge page here, and all is there. */
	if (pmd_leaf(pmdp_get_lockless(vmf->pmd)))
		return VM_FAULT_NOPAGE;

	if (apply_to_page_range(run.mm, fill->addr, fill->nr << PAGE_SHIFT,
				set_one_pte, &run))
		return VM_FAULT_OOM;
	return VM_FAULT_NOPAGE;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
static vm_fault_t insert_pmd(struct vm_fault *vmf, const struct dvp_fill *fill)
{
	struct vm_area_struct *vma = vmf->vma;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	vm_fault_t ret = VM_FAULT_NOPAGE;
	spinlock_t *ptl;	/* of the table that the entry stands in */
	pmd_t entry;

	/* Architectures that keep a spare page table for the split: none has huge PFNs. */
	if (arch_needs_pgtable_deposit())
		return VM_FAULT_FALLBACK;

	ptl = pmd_lock(vma->vm_mm, vmf->pmd);
	/* An entry that has been write-protected comes here on the first write. */
	if (pmd_none(*vmf->pmd) ||
	    (write && pmd_leaf(*vmf->pmd) && !pmd_write(*vmf->pmd))) {
		entry = pmd_mkhuge(pfn_pmd(fill->pfn, entry_prot(vma)));
		set_pmd_at(vma->vm_mm, fill->addr, vmf->pmd,
			   pmd_mkspecial(entry));
		update_mmu_cache_pmd(vma, fill->addr, vmf->pmd);
	} else if (!pmd_leaf(*vmf->pmd)) {
		/* A page table left from before; small pages have to do. */
		ret = VM_FAULT_FALLBACK;
	}
	spin_unlock(ptl);
	return ret;
}
#else
static vm_fault_t insert_pmd(struct vm_fault *vmf, const struct dvp_fill *fill)
{
	return VM_FAULT_FALLBACK;
}
#endif

static vm_fault_t insert_pud(struct vm_fault *vmf, const struct dvp_fill *fill)
{
#ifdef CONFIG_ARCH_SUPPORTS_PUD_PFNMAP
	const struct dvp_buffer *buffer = vmf->vma->vm_private_data;

	/*
	 * The kernel's own function, so only for the type that vfio-pci-core
	 * has reserved.
	 */
	if (buffer->memattr == VFIO_DMABUF_MEMATTR_NC)
		return vmf_insert_pfn_pud(vmf, dvp_huge_pfn(fill->pfn),
					  vmf->flags & FAULT_FLAG_WRITE);
#endif
	return VM_FAULT_FALLBACK;
}

/**
 * dvp_insert() - make pages of a BAR present
 * @vmf: the fault, in the VMA that @fill lies in
 * @fill: pages that lie in one run, one VMA and under one page table, or one
 *	huge page that is aligned in addresses and PFNs
 *
 * The caller holds the locks that keep access from being taken away.
 *
 * Return: VM_FAULT_NOPAGE if the pages are present; VM_FAULT_FALLBACK if there
 * can be no page of that size; VM_FAULT_OOM.
 */
vm_fault_t dvp_insert(struct vm_fault *vmf, const struct dvp_fill *fill)
{
	const struct dvp_buffer *buffer = vmf->vma->vm_private_data;

	lockdep_assert_held(&buffer->fault_lock);

	switch (fill->order) {
	case 0:
		return insert_ptes(vmf, fill);
	case PMD_ORDER:
		return insert_pmd(vmf, fill);
	case PUD_ORDER:
		return insert_pud(vmf, fill);
	}
	return VM_FAULT_FALLBACK;
}
