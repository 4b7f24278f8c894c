// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping a buffer into a process, faulting its pages in, and zapping them.
 *
 * Every VMA over a BAR belongs to a buffer, whether it was made through the
 * device fd or through a slice's fd, and uses the fault handler here. Its
 * offset is the offset in the BAR of the bytes that it shows.
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "access.h"
#include "buffer.h"
#include "device.h"
#include "insert.h"
#include "mapping.h"
#include "memattr.h"
#include "trace.h"

#define REGION_SHIFT	(VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT)

/* Page of the buffer that is mapped at @addr, an address of @vma. */
static u64 buf_page_at(const struct vm_area_struct *vma, unsigned long addr)
{
	const struct dvp_buffer *buffer = vma->vm_private_data;

	return vma->vm_pgoff - buffer->base_page +
	       ((addr - vma->vm_start) >> PAGE_SHIFT);
}

/*
 * One huge page, if the block of addresses around the fault lies in the VMA,
 * the pages of the block lie in one run, and their PFNs are aligned as the
 * addresses are.
 */
static bool fill_huge(const struct vm_fault *vmf, unsigned int order,
		      struct dvp_fill *fill)
{
	const struct vm_area_struct *vma = vmf->vma;
	const struct dvp_buffer *buffer = vma->vm_private_data;
	unsigned long size = PAGE_SIZE << order;
	struct dvp_where where;

	if (vma->vm_flags & VM_MIXEDMAP && !DVP_HUGE_MIXEDMAP)
		return false;

	fill->addr = ALIGN_DOWN(vmf->address, size);
	if (fill->addr < vma->vm_start || fill->addr + size > vma->vm_end)
		return false;
	if (!dvp_ranges_find(&buffer->ranges, buf_page_at(vma, fill->addr),
			     &where) || where.after < 1UL << order)
		return false;

	fill->pfn = buffer->bar_pfn + where.bar_page;
	fill->nr = 1;
	fill->order = order;
	fill->beside_huge = false;
	return IS_ALIGNED(fill->pfn, 1UL << order);
}

/*
 * All pages around the fault that belong to the same run, the VMA and the block
 * of addresses that one page table maps.  The next block can have a huge page,
 * below which a page table cannot be inserted.
 */
static bool fill_around(const struct vm_fault *vmf, struct dvp_fill *fill)
{
	const struct vm_area_struct *vma = vmf->vma;
	const struct dvp_buffer *buffer = vma->vm_private_data;
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long first = max(vma->vm_start, addr & PMD_MASK);
	unsigned long last = min(vma->vm_end - 1, addr | ~PMD_MASK);
	struct dvp_where where;
	u64 before, after;

	if (!dvp_ranges_find(&buffer->ranges, buf_page_at(vma, addr), &where))
		return false;

	before = min_t(u64, where.before, (addr - first) >> PAGE_SHIFT);
	after = min_t(u64, where.after, ((last - addr) >> PAGE_SHIFT) + 1);
	fill->addr = addr - (before << PAGE_SHIFT);
	fill->pfn = buffer->bar_pfn + where.bar_page - before;
	fill->nr = before + after;
	fill->order = 0;
	return true;
}

static vm_fault_t fault(struct vm_fault *vmf, const struct dvp_fill *fill)
{
	struct dvp_buffer *buffer = vmf->vma->vm_private_data;
	enum dvp_access access;
	vm_fault_t ret;
	bool again;

	/*
	 * A fault of user space is repeated after a wait.  The kernel's own (KVM,
	 * or a VFIO container that reads the page table) happens once, and must
	 * find the page afterwards.
	 */
	do {
		access = DVP_ACCESS_LIVE;
		ret = dvp_insert(vmf, fill, &access);
		again = access == DVP_ACCESS_HELD || access == DVP_ACCESS_BUSY;
		if (again && !dvp_access_wait(buffer->dvp, access)) {
			again = false;
			ret = VM_FAULT_SIGBUS;
		}
	} while (again && !(vmf->flags & FAULT_FLAG_USER));

	if (access == DVP_ACCESS_SUSPENDED || access == DVP_ACCESS_REVOKED)
		ret = VM_FAULT_SIGBUS;

	if (ret != VM_FAULT_FALLBACK)
		trace_buffer_fault(buffer, fill->pfn, fill->nr, fill->order,
				   ret);
	return ret;
}

static vm_fault_t dvp_vma_fault(struct vm_fault *vmf)
{
	struct dvp_fill fill;
	vm_fault_t ret;
	bool huge;

	/*
	 * Insert a huge page where one fits, even if the process has disabled
	 * huge pages and so gets here: another thread's fault can have begun
	 * before that.
	 */
	huge = fill_huge(vmf, PMD_ORDER, &fill);
	if (huge && pmd_none(pmdp_get_lockless(vmf->pmd))) {
		ret = fault(vmf, &fill);
		if (ret != VM_FAULT_FALLBACK)
			return ret;
	}

	/* Where one of PUD_ORDER fits, one of PMD_ORDER does. */
	if (!fill_around(vmf, &fill))
		return VM_FAULT_SIGBUS;
	fill.beside_huge = huge;
	return fault(vmf, &fill);
}

static vm_fault_t __maybe_unused dvp_vma_huge_fault(struct vm_fault *vmf,
						    unsigned int order)
{
	struct dvp_fill fill;

	if (!fill_huge(vmf, order, &fill))
		return VM_FAULT_FALLBACK;
	return fault(vmf, &fill);
}

/*
 * fork, and the second half when a VMA is split.
 *
 * A child must not inherit page table entries. fork reads a special huge entry of the parent
 * without the page table's lock, and then sets the child's entry from it (copy_huge_pmd();
 * copy_huge_pud() reads under the lock).  It relies on the mmap lock, which a zap does not take.
 * If a zap comes in between, the child gets the entry all the same, for good.  With
 * VM_WIPEONFORK fork copies none (dup_mmap() calls this before it tests the flag), and the
 * child's faults are tested like all others.  It is set here, in the child, and not in mmap(),
 * because MADV_KEEPONFORK could clear it.
 */
static void dvp_vma_open(struct vm_area_struct *vma)
{
	struct dvp_buffer *buffer = vma->vm_private_data;

	if (vma->vm_mm != current->mm)
		vm_flags_set(vma, VM_WIPEONFORK);
	atomic_inc(&buffer->mappings);
}

static void dvp_vma_close(struct vm_area_struct *vma)
{
	struct dvp_buffer *buffer = vma->vm_private_data;

	atomic_dec(&buffer->mappings);
}

static const struct vm_operations_struct dvp_vma_ops = {
	.open		= dvp_vma_open,
	.close		= dvp_vma_close,
	.fault		= dvp_vma_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault	= dvp_vma_huge_fault,
#endif
};

/*
 * Make a VMA one of the buffer.  After it is counted, the buffer's attribute
 * cannot change.
 */
static void vma_adopt(struct vm_area_struct *vma, struct dvp_buffer *buffer,
		      unsigned long pgoff)
{
	vma->vm_pgoff = pgoff;
	vma->vm_private_data = buffer;
	vma->vm_ops = &dvp_vma_ops;

	spin_lock(&buffer->dvp->buffers_lock);
	vma->vm_page_prot = dvp_memattr_prot(vma, buffer->memattr);
	atomic_inc(&buffer->mappings);
	spin_unlock(&buffer->dvp->buffers_lock);

	trace_buffer_mmap(buffer, vma);
}

/*
 * The buffer of a BAR mapping starts at byte 0 of the BAR and ends where the
 * mapping ends, so that the VMA's offset is both the offset in the BAR and the
 * one in the buffer.  Nothing else of it can be mapped; see dvp_mmap_slice().
 */
static struct dvp_buffer *bar_mapping_buffer(struct dvp_device *dvp,
					     struct file *device_file,
					     unsigned int bar, u64 nr_pages)
{
	struct dvp_buffer *buffer;
	int ret;

	buffer = dvp_buffer_alloc(dvp, bar, 1);
	if (!buffer)
		return ERR_PTR(-ENOMEM);

	buffer->device_file = get_file(device_file);
	buffer->bar_mapping = true;
	if (READ_ONCE(dvp->write_combine) &&
	    pci_resource_flags(dvp->core.pdev, bar) & IORESOURCE_PREFETCH)
		buffer->memattr = VFIO_DMABUF_MEMATTR_WC;
	buffer->ranges.runs = buffer->runs;
	buffer->ranges.nr_runs = 1;
	buffer->ranges.nr_pages = nr_pages;

	ret = dvp_buffer_publish(buffer, O_RDWR);
	if (ret) {
		dvp_buffer_put(buffer);
		return ERR_PTR(ret);
	}
	return buffer;
}

/**
 * dvp_mmap_bar() - mmap() of the device fd
 * @core_vdev: the device
 * @vma: as the kernel made it; its offset names region and byte
 *
 * vfio-pci-core checks the request and sets the VMA's flags and page
 * protection, as on stock vfio-pci.  A BAR mapping then gets a buffer of its
 * own, which takes over the reference to the device file.
 *
 * Return: 0, the errno of vfio_pci_core_mmap(), that of making a buffer, or
 * -EOPNOTSUPP if vfio-pci-core has made one itself.
 */
int dvp_mmap_bar(struct vfio_device *core_vdev, struct vm_area_struct *vma)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);
	unsigned int index = vma->vm_pgoff >> REGION_SHIFT;
	unsigned long pgoff = vma->vm_pgoff & ((1UL << REGION_SHIFT) - 1);
	struct file *file = vma->vm_file;
	struct dvp_buffer *buffer;
	int ret;

	ret = vfio_pci_core_mmap(core_vdev, vma);
	if (ret || index >= VFIO_PCI_ROM_REGION_INDEX)
		return ret;

	/* A vfio-pci-core that itself backs BAR mappings does not need this driver. */
	if (WARN_ON_ONCE(vma->vm_file != file))
		return -EOPNOTSUPP;

	buffer = bar_mapping_buffer(dvp, vma->vm_file, index,
				    pgoff + vma_pages(vma));
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	vma_set_file(vma, buffer->dmabuf->file);
	vma_adopt(vma, buffer, pgoff);
	/* The VMA's file has its own reference and owns the buffer from here. */
	dma_buf_put(buffer->dmabuf);
	return 0;
}

/**
 * dvp_mmap_slice() - mmap() of a slice's fd
 * @dmabuf: ours
 * @vma: lies within the DMABUF's size, which its core has checked
 *
 * Return: 0; -EINVAL for MAP_PRIVATE, and for a DMABUF that belongs to a BAR
 * mapping (remap_file_pages() gets there without a file descriptor); -EACCES
 * for a writable mapping of a read-only buffer; -ENODEV once the buffer is
 * revoked.
 */
int dvp_mmap_slice(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct dvp_buffer *buffer = dmabuf->priv;

	/* The kernel clears VM_SHARED, not VM_MAYSHARE, for a read-only file. */
	if (!dvp_buffer_is_slice(buffer) || !(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	/*
	 * The mode of the DMABUF's file is not enough: another driver's mmap()
	 * can get here through dma_buf_mmap(), with a file of its own.
	 */
	if (buffer->read_only) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	/* Only for a clear error: the test in the fault is what protects. */
	if (READ_ONCE(buffer->revoked))
		return -ENODEV;

	/*
	 * The flags that vfio_pci_core_mmap() sets for a BAR mapping, except
	 * VM_PFNMAP: the user of a type 1 VFIO container can map the PFNs of
	 * such a VMA for DMA, and the container keeps them when the VMA no
	 * longer exists.  With the DMA of another device a client could reach
	 * this one after the slice was revoked.  VM_IO keeps out all other code
	 * that wants pages.
	 */
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED | VM_IO | VM_MIXEDMAP |
		     VM_DONTEXPAND | VM_DONTDUMP);

	vma_adopt(vma, buffer, buffer->base_page + vma->vm_pgoff);
	return 0;
}

/**
 * dvp_zap_device() - zap every mapping of the device
 * @dvp: the device
 *
 * Faults insert the pages again. So the state that forbids access must be set
 * first, under a lock that the fault holds while it inserts.
 */
void dvp_zap_device(struct dvp_device *dvp)
{
	unmap_mapping_range(dvp->core.vdev.inode->i_mapping, 0,
			    VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_ROM_REGION_INDEX),
			    true);
}

static inline unsigned long vma_first_page(struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static inline unsigned long vma_last_page(struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) - 1;
}

/* The kernel's own index of an address space's VMAs, only for looking up. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long,
		     shared.rb_subtree_last, vma_first_page, vma_last_page,
		     static inline, vma_tree)

static void zap_whole(struct vm_area_struct *vma)
{
	zap_special_vma_range(vma, vma->vm_start, vma->vm_end - vma->vm_start);
}

/**
 * dvp_zap_buffer() - zap the mappings of one buffer
 * @buffer: already revoked
 *
 * All VMAs of the device are in one address space, and those of other buffers
 * can have the same offsets: the same registers, or the same offset of another
 * BAR. unmap_mapping_range() would zap them as well, and their processes would
 * take a fault.  So the address space's index is walked here, and only VMAs of
 * this buffer are zapped.
 *
 * i_mmap_rwsem keeps each VMA that is found, with its page tables, in place:
 * munmap and exit take a VMA out of the index before they free either.  mremap
 * takes it, too, where the walk could meet the new VMA before the old one, and
 * moves entries with both page tables locked; a child of fork begins with none
 * (dvp_vma_open()).
 */
void dvp_zap_buffer(struct dvp_buffer *buffer)
{
	struct address_space *mapping = buffer->dvp->core.vdev.inode->i_mapping;
	unsigned long first = buffer->base_page;
	unsigned long last = first + buffer->ranges.nr_pages - 1;
	struct vm_area_struct *vma;

	i_mmap_lock_read(mapping);
	for (vma = vma_tree_iter_first(&mapping->i_mmap, first, last); vma;
	     vma = vma_tree_iter_next(vma, first, last)) {
		if (vma->vm_ops == &dvp_vma_ops &&
		    vma->vm_private_data == buffer)
			zap_whole(vma);
	}
	i_mmap_unlock_read(mapping);
}

/*
 * What a client can make of one slice, which a zap that must not take long leaves to
 * one that may.
 */
#define FEW_VMAS	8
#define FEW_PAGES	4096
#define FEW_OTHERS	64

/* This buffer's VMAs, under i_mmap_rwsem; how many, -EAGAIN if too much is to be done. */
static int find_few(struct dvp_buffer *buffer, struct address_space *mapping,
		    struct vm_area_struct *vmas[FEW_VMAS])
{
	unsigned long first = buffer->base_page;
	unsigned long last = first + buffer->ranges.nr_pages - 1;
	unsigned long pages = 0;
	struct vm_area_struct *vma;
	int nr = 0, others = 0;

	for (vma = vma_tree_iter_first(&mapping->i_mmap, first, last); vma;
	     vma = vma_tree_iter_next(vma, first, last)) {
		if (vma->vm_ops != &dvp_vma_ops ||
		    vma->vm_private_data != buffer) {
			if (++others > FEW_OTHERS)
				return -EAGAIN;
			continue;
		}
		pages += vma_pages(vma);
		if (nr == FEW_VMAS || pages > FEW_PAGES ||
		    mm_has_notifiers(vma->vm_mm))
			return -EAGAIN;
		vmas[nr++] = vma;
	}
	return nr;
}

/**
 * dvp_zap_buffer_now() - revoke a buffer and zap it, unless that can be delayed
 * @buffer: any
 * @revoke: sets what makes faults fail; called under i_mmap_rwsem
 *
 * i_mmap_rwsem can be held by a client that is not run, and is taken by trylock.  It is
 * taken first, so that nothing is changed if this fails.
 *
 * The zap calls the MMU notifiers of a client's process.  These can wait for the code that
 * registered them, for another device for example.  A process without notifiers cannot
 * register its first one meanwhile: mm_take_all_locks() takes i_mmap_rwsem of all that it
 * maps.
 *
 * Return: 0; -EAGAIN if there is too much to do, or if it would have to wait.
 */
int dvp_zap_buffer_now(struct dvp_buffer *buffer,
		       void (*revoke)(struct dvp_buffer *buffer))
{
	struct address_space *mapping = buffer->dvp->core.vdev.inode->i_mapping;
	struct vm_area_struct *vmas[FEW_VMAS];
	int nr;

	if (!i_mmap_trylock_read(mapping))
		return -EAGAIN;
	nr = find_few(buffer, mapping, vmas);
	if (nr >= 0) {
		revoke(buffer);
		while (nr)
			zap_whole(vmas[--nr]);
	}
	i_mmap_unlock_read(mapping);
	return nr;
}
