// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory attribute of a buffer: how the CPU's mappings of it are cached.
 *
 * Page table entries really get the attribute (see insert.c), or it is refused.
 * All mappings of a buffer have the same.
 */
#include <linux/mm.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "buffer.h"
#include "device.h"
#include "memattr.h"

/**
 * dvp_memattr_prot() - page protection for a mapping
 * @vma: its flags are the permissions
 * @memattr: VFIO_DMABUF_MEMATTR_*
 */
pgprot_t dvp_memattr_prot(const struct vm_area_struct *vma, u32 memattr)
{
	/* Not from vma->vm_page_prot: on x86 these two can only add bits to it. */
	pgprot_t prot = vm_get_page_prot(vma->vm_flags);

	if (memattr == VFIO_DMABUF_MEMATTR_WC)
		prot = pgprot_writecombine(prot);
	else
		prot = pgprot_noncached(prot);
	return pgprot_decrypted(prot);
}

/**
 * dvp_memattr_supported() - whether this machine has an attribute
 * @memattr: any number
 *
 * x86 without PAT, for one, has no write-combining, and would use uncached
 * instead.
 */
bool dvp_memattr_supported(u32 memattr)
{
	if (memattr == VFIO_DMABUF_MEMATTR_WC)
		return pgprot_val(pgprot_writecombine(PAGE_SHARED)) !=
		       pgprot_val(pgprot_noncached(PAGE_SHARED));
	return memattr == VFIO_DMABUF_MEMATTR_NC;
}

/**
 * dvp_memattr_set() - set the attribute for later mappings
 * @buffer: any
 * @memattr: one that is supported
 *
 * Return: 0; -EBUSY while the buffer is mapped; -ENODEV if it is revoked.
 */
int dvp_memattr_set(struct dvp_buffer *buffer, u32 memattr)
{
	int ret = 0;

	/* Against vma_adopt(), which counts the mapping that takes it over. */
	spin_lock(&buffer->dvp->buffers_lock);
	if (READ_ONCE(buffer->revoked))
		ret = -ENODEV;
	else if (atomic_read(&buffer->mappings))
		ret = -EBUSY;
	else
		buffer->memattr = memattr;
	spin_unlock(&buffer->dvp->buffers_lock);
	return ret;
}
