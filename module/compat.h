/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels, and nothing else.  The rest of the module is
 * written for the newest of those it is tested on.
 *
 * Distributions backport, so module/probe looks up in the headers which
 * interfaces a kernel has, and writes probed.h.  It stops the build if the
 * interfaces do not form a known combination, or if the kernel does not need
 * this module.  The version decides only about behaviour that no header shows.
 */
#ifndef _DVP_COMPAT_H
#define _DVP_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_table_check.h>
#include <linux/pci.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include <linux/vfio_pci_core.h>

#include "probed.h"

/* The series that the tests run on; kernels in between are not among them. */
#define DVP_IS_SERIES(major, minor) \
	(LINUX_VERSION_CODE >> 8 == KERNEL_VERSION(major, minor, 0) >> 8)
#define DVP_IS_TESTED \
	(DVP_IS_SERIES(6, 12) || DVP_IS_SERIES(7, 2) || DVP_IS_SERIES(7, 3))

/* Zaps, resets and locks of older kernels were never reviewed. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "dmabuf-vfio-pci needs Linux 6.12 or later"
#endif

/* MODULE_IMPORT_NS() takes a name on some kernels, and a string on others. */
#define DVP_IMPORT_NS(ns)	MODULE_INFO(import_ns, #ns)

/* On other kernels it is a macro. The memory is zeroed on all kernels. */
#ifndef kzalloc_obj
#define kzalloc_obj(what, flags)	kzalloc(sizeof(what), flags)
#endif

/* Members of struct vfio_device_ops that not every kernel has. */
#if DVP_HAVE_MATCH_TOKEN_UUID
#define DVP_OPS_MATCH_TOKEN_UUID \
	.match_token_uuid = vfio_pci_core_match_token_uuid,
#else
#define DVP_OPS_MATCH_TOKEN_UUID
#endif
#if DVP_HAVE_PASID
#define DVP_OPS_PASID \
	.pasid_attach_ioas = vfio_iommufd_physical_pasid_attach_ioas, \
	.pasid_detach_ioas = vfio_iommufd_physical_pasid_detach_ioas,
#else
#define DVP_OPS_PASID
#endif
#if DVP_HAVE_REGION_INFO_CAPS
#define DVP_OPS_REGION_INFO \
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
#else
#define DVP_OPS_REGION_INFO
#endif

/*
 * Whether a special huge entry is safe in a VM_MIXEDMAP VMA. Walkers of page
 * tables skip VM_PFNMAP, but not VM_MIXEDMAP. Those of /proc/<pid>/pagemap (6.12
 * and 7.2), clear_refs and MADV_COLD (6.12) treat the PFN as a page there, and the
 * kernel panics.
 *
 * No header shows what walkers do, so the version decides.  True only for kernels
 * on which each walker was tested (tests/vm/test_walkers.c).
 */
#define DVP_HUGE_MIXEDMAP	DVP_IS_SERIES(7, 3)

/**
 * dvp_warn_if_untested() - warn in the log that this kernel is not tested
 */
static inline void dvp_warn_if_untested(void)
{
	if (!DVP_IS_TESTED)
		pr_warn("not tested on Linux %s, only on 6.12, 7.2 and 7.3; slices are mapped with small pages\n",
			init_utsname()->release);
}

/*
 * Some kernels have a function for VM_PFNMAP and VM_MIXEDMAP. The older one does
 * nothing unless the VMA has VM_PFNMAP, so it gets a copy that has it.  It reads
 * address space, addresses and flags from the copy, and does not keep it.
 */
#if !DVP_HAVE_ZAP_SPECIAL
static inline void zap_special_vma_range(struct vm_area_struct *vma,
					 unsigned long addr, unsigned long size)
{
	struct vm_area_struct copy;

	memcpy(&copy, vma, sizeof(copy));
	ACCESS_PRIVATE(&copy, __vm_flags) |= VM_PFNMAP;
	zap_vma_ptes(&copy, addr, size);
}
#endif

/*
 * The accounting of CONFIG_PAGE_TABLE_CHECK, for code that sets entries without
 * set_pte_at() and set_pmd_at() (see arch.h).
 */
#if DVP_HAVE_TABLE_CHECK_ADDR
#define dvp_check_pte_set(mm, addr, ptep, pte) \
	page_table_check_ptes_set(mm, addr, ptep, pte, 1)
#define dvp_check_pmd_set(mm, addr, pmdp, pmd) \
	page_table_check_pmd_set(mm, addr, pmdp, pmd)
#else
#define dvp_check_pte_set(mm, addr, ptep, pte) \
	page_table_check_ptes_set(mm, ptep, pte, 1)
#define dvp_check_pmd_set(mm, addr, pmdp, pmd) \
	page_table_check_pmd_set(mm, pmdp, pmd)
#endif

/*
 * Importers, and the core's own export of DMABUFs, need a kernel that has them and
 * was configured with CONFIG_VFIO_PCI_DMABUF. Elsewhere attaching is refused.
 * These names differ from the kernel's, because a kernel without that option can
 * declare some of them.
 */
struct p2pdma_provider;

#if DVP_HAVE_CORE_EXPORT
#include <linux/dma-buf-mapping.h>
#include <linux/pci-p2pdma.h>

#define DVP_HAS_CORE_EXPORT	true
#define dvp_p2p_provider	pcim_p2pdma_provider
#define dvp_attach_revocable	dma_buf_attach_revocable
#define dvp_invalidate_mappings	dma_buf_invalidate_mappings
#define dvp_unmap_part		dma_buf_free_sgt

/*
 * What dma_buf_invalidate_mappings() does for all attachments, for one.
 * dvp_attach_revocable() must be true for it.
 */
static inline void dvp_notify(struct dma_buf_attachment *attachment)
{
	attachment->importer_ops->invalidate_mappings(attachment);
}

static inline struct sg_table *
dvp_map_part(struct dma_buf_attachment *attachment,
	     struct p2pdma_provider *provider, phys_addr_t start, size_t len,
	     enum dma_data_direction direction)
{
	struct phys_vec vec = { .paddr = start, .len = len };

	return dma_buf_phys_vec_to_sgt(attachment, provider, &vec, 1, len,
				       direction);
}

static inline void dvp_offer_core_export(struct vfio_pci_core_device *vdev)
{
	static const struct vfio_pci_device_ops ops = {
		.get_dmabuf_phys = vfio_pci_core_get_dmabuf_phys,
	};

	vdev->pci_ops = &ops;
}
#else
#define DVP_HAS_CORE_EXPORT	false

static inline struct p2pdma_provider *dvp_p2p_provider(struct pci_dev *pdev,
						       int bar)
{
	return NULL;
}

static inline bool dvp_attach_revocable(struct dma_buf_attachment *attachment)
{
	return false;
}

static inline void dvp_invalidate_mappings(struct dma_buf *dmabuf)
{
}

static inline void dvp_notify(struct dma_buf_attachment *attachment)
{
}

static inline struct sg_table *
dvp_map_part(struct dma_buf_attachment *attachment,
	     struct p2pdma_provider *provider, phys_addr_t start, size_t len,
	     enum dma_data_direction direction)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline void dvp_unmap_part(struct dma_buf_attachment *attachment,
				  struct sg_table *part,
				  enum dma_data_direction direction)
{
}

static inline void dvp_offer_core_export(struct vfio_pci_core_device *vdev)
{
}
#endif

/**
 * dvp_claim_bar() - make sure that VFIO holds the resource of a BAR
 * @vdev: an open device
 * @bar: region index, 0 to 5
 *
 * Kernels either claim each BAR at its first use, by vfio_pci_core_setup_barmap(),
 * or all of them when the device is opened.
 *
 * Return: 0 or the errno that claiming it failed with.
 */
static inline int dvp_claim_bar(struct vfio_pci_core_device *vdev,
				unsigned int bar)
{
#if DVP_HAVE_SETUP_BARMAP
	return vfio_pci_core_setup_barmap(vdev, bar);
#else
	return PTR_ERR_OR_ZERO(vfio_pci_core_get_iomap(vdev, bar));
#endif
}

/**
 * dvp_set_core_options() - set what stock vfio-pci's parameters set
 * @vdev: a device that is not registered yet
 * @nointxmask: do not mask INTx in the device
 * @disable_vga: no VGA resources
 * @disable_idle_d3: no D3 while unused
 *
 * On some kernels they are options of vfio-pci-core, for all its drivers.
 */
static inline void dvp_set_core_options(struct vfio_pci_core_device *vdev,
					bool nointxmask, bool disable_vga,
					bool disable_idle_d3)
{
#if DVP_HAVE_SET_PARAMS
	vfio_pci_core_set_params(nointxmask, disable_vga, disable_idle_d3);
#else
	vdev->nointxmask = nointxmask;
	vdev->disable_vga = disable_vga;
	vdev->disable_idle_d3 = disable_idle_d3;
#endif
}

/**
 * dvp_memory_enabled() - whether the device answers on its BARs
 * @vdev: an open device, its memory_lock held
 *
 * Not every kernel's core exports its own test.  The emulated command
 * register counts, not the device's, as for every access through the core.
 */
static inline bool dvp_memory_enabled(struct vfio_pci_core_device *vdev)
{
#if DVP_HAVE_MEMORY_ENABLED
	return __vfio_pci_memory_enabled(vdev);
#else
	if ((__force int)vdev->pdev->current_state >= (__force int)PCI_D3hot)
		return false;
	return vdev->pdev->no_command_memory ||
	       vdev->vconfig[PCI_COMMAND] & PCI_COMMAND_MEMORY;
#endif
}

#endif
