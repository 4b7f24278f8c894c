/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the supported kernels, 6.12 to 7.3, and nothing else.
 * The rest of the module is written for the newest of them.
 *
 * Kernels in between that were not tried are served by the version that the
 * interface is known to have changed in; a wrong one breaks the build there.
 */
#ifndef _DVP_COMPAT_H
#define _DVP_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/version.h>
#include <linux/vfio_pci_core.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "dmabuf-vfio-pci needs Linux 6.12 or later"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define DVP_IMPORT_NS(ns)	MODULE_IMPORT_NS(ns)
#else
#define DVP_IMPORT_NS(ns)	MODULE_IMPORT_NS(#ns)
#endif

/* Until 6.16 huge PFNs are handed over as pfn_t. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#define dvp_huge_pfn(pfn)	__pfn_to_pfn_t(pfn, PFN_DEV)
#else
#define dvp_huge_pfn(pfn)	(pfn)
#endif

/* 7.0 brought it; what it allocates is zero on both sides. */
#ifndef kzalloc_obj
#define kzalloc_obj(what, flags)	kzalloc(sizeof(what), flags)
#endif

/* .match_token_uuid came with 6.17, .get_region_info_caps with 6.19. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define DVP_OPS_MATCH_TOKEN_UUID
#else
#define DVP_OPS_MATCH_TOKEN_UUID \
	.match_token_uuid = vfio_pci_core_match_token_uuid,
#endif
/* PASIDs came with 6.15. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
#define DVP_OPS_PASID
#else
#define DVP_OPS_PASID \
	.pasid_attach_ioas = vfio_iommufd_physical_pasid_attach_ioas, \
	.pasid_detach_ioas = vfio_iommufd_physical_pasid_detach_ioas,
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define DVP_OPS_REGION_INFO
#else
#define DVP_OPS_REGION_INFO \
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
#endif

/*
 * Whether a special huge entry is safe in a VM_MIXEDMAP VMA.  Walkers of page
 * tables leave VM_PFNMAP out, but look at this one; in 6.12 those behind
 * /proc/<pid>/pagemap, clear_refs and MADV_COLD take the PFN for a page there.
 */
#define DVP_HUGE_MIXEDMAP	(LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0))

/*
 * 7.1 has a function for VM_PFNMAP and VM_MIXEDMAP.  The one before does
 * nothing unless the VMA says VM_PFNMAP, so it is shown a copy that does; it
 * takes address space, addresses and flags from it, and keeps nothing.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
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
 * Importers, and the core's own export of DMABUFs: 6.19 brought them, 7.0 the
 * names used here, and both want a kernel that was configured so.  Elsewhere
 * attaching is refused.  None of these has the kernel's name, as some of those
 * are declared in kernels that are taken for having none.
 */
struct p2pdma_provider;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0) && \
	IS_ENABLED(CONFIG_VFIO_PCI_DMABUF)
#include <linux/dma-buf-mapping.h>
#include <linux/pci-p2pdma.h>

#define DVP_HAS_CORE_EXPORT	true
#define dvp_p2p_provider	pcim_p2pdma_provider
#define dvp_attach_revocable	dma_buf_attach_revocable
#define dvp_invalidate_mappings	dma_buf_invalidate_mappings
#define dvp_unmap_part		dma_buf_free_sgt

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
 * 7.2 and later claim every BAR when the device is opened, earlier kernels
 * each at its first use.
 *
 * Return: 0 or the errno that claiming it failed with.
 */
static inline int dvp_claim_bar(struct vfio_pci_core_device *vdev,
				unsigned int bar)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
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
 * Until 7.1 they are vfio-pci-core's, for all its drivers.
 */
static inline void dvp_set_core_options(struct vfio_pci_core_device *vdev,
					bool nointxmask, bool disable_vga,
					bool disable_idle_d3)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
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
 * The core exports its own test only since 6.19.  The emulated command
 * register counts, not the device's, as for every access through the core.
 */
static inline bool dvp_memory_enabled(struct vfio_pci_core_device *vdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
	if ((__force int)vdev->pdev->current_state >= (__force int)PCI_D3hot)
		return false;
	return vdev->pdev->no_command_memory ||
	       vdev->vconfig[PCI_COMMAND] & PCI_COMMAND_MEMORY;
#else
	return __vfio_pci_memory_enabled(vdev);
#endif
}

#endif
