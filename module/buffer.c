// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a buffer.
 *
 *                     struct dvp_device  (memory of the VFIO device)
 *                        ^           :
 *              reference |           : list, no reference
 *                        |           v
 *   VMA ---> file of the DMABUF ---> struct dvp_buffer
 *                                       |
 *                                       | reference, BAR mappings only
 *                                       v
 *                                  device file ---> the device is open
 *
 * The file of the DMABUF owns the buffer: the last close or munmap of it, in
 * whatever process, ends in dvp_dmabuf_release().  The buffer in turn keeps
 * the memory of the VFIO device and this module.  Whether the hardware may be
 * touched is another matter: only a BAR mapping keeps the device open, and a
 * buffer that outlives that is revoked by then (see access.c).
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/slab.h>
#include "compat.h"
#include "buffer.h"
#include "device.h"
#include "importers.h"
#include "mapping.h"
#include "trace.h"

DVP_IMPORT_NS(DMA_BUF);

/**
 * dvp_buffer_alloc() - make a buffer that nobody sees yet
 * @dvp: an open device; the buffer takes a reference to its memory
 * @bar: region index of a memory BAR, 0 to 5
 * @max_runs: room for so many runs
 *
 * The caller fills in ranges, base_page, device_file and read_only and then
 * calls dvp_buffer_publish(), or gives it back with dvp_buffer_free().
 *
 * Return: the buffer, or NULL if there is no memory.
 */
struct dvp_buffer *dvp_buffer_alloc(struct dvp_device *dvp, unsigned int bar,
				    u32 max_runs)
{
	struct pci_dev *pdev = dvp->core.pdev;
	struct dvp_buffer *buffer;

	buffer = kvzalloc(struct_size(buffer, runs, max_runs),
			  GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return NULL;

	get_device(&dvp->core.vdev.device);
	buffer->dvp = dvp;
	INIT_LIST_HEAD(&buffer->link);
	mutex_init(&buffer->fault_lock);
	buffer->bar = bar;
	buffer->bar_pfn = pci_resource_start(pdev, bar) >> PAGE_SHIFT;
	buffer->provider = dvp_p2p_provider(pdev, bar);
	init_waitqueue_head(&buffer->dma_idle);
	return buffer;
}

/**
 * dvp_buffer_free() - give back what dvp_buffer_alloc() made
 * @buffer: not published, or off every list by now; a device file that it
 *	holds is put
 */
void dvp_buffer_free(struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;

	if (buffer->device_file)
		fput(buffer->device_file);
	mutex_destroy(&buffer->fault_lock);
	kvfree(buffer);
	vfio_put_device(&dvp->core.vdev);
}

static void dvp_dmabuf_release(struct dma_buf *dmabuf)
{
	struct dvp_buffer *buffer = dmabuf->priv;

	mutex_lock(&buffer->dvp->buffers_lock);
	list_del(&buffer->link);
	mutex_unlock(&buffer->dvp->buffers_lock);

	trace_buffer_release(buffer);
	dvp_buffer_free(buffer);
}

static const struct dma_buf_ops dvp_dmabuf_ops = {
	.attach		= dvp_importer_attach,
	.map_dma_buf	= dvp_importer_map,
	.unmap_dma_buf	= dvp_importer_unmap,
	.mmap		= dvp_mmap_slice,
	.release	= dvp_dmabuf_release,
};

/**
 * dvp_buffer_publish() - turn a buffer into a DMABUF and list it
 * @buffer: complete; owned by the DMABUF after success, still by the caller
 *	after an error
 * @open_flags: O_RDONLY or O_RDWR, the mode of the DMABUF's file
 *
 * On success buffer->dmabuf holds one reference that belongs to the caller.
 *
 * Return: 0, -ENOMEM, or the errno of dma_buf_export().
 */
int dvp_buffer_publish(struct dvp_buffer *buffer, unsigned int open_flags)
{
	struct dvp_device *dvp = buffer->dvp;
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;
	char *name;

	name = kstrdup(dvp->names[buffer->bar], GFP_KERNEL);
	if (!name)
		return -ENOMEM;

	exp_info.ops = &dvp_dmabuf_ops;
	exp_info.size = buffer->ranges.nr_pages << PAGE_SHIFT;
	exp_info.flags = open_flags;
	exp_info.priv = buffer;

	dmabuf = dma_buf_export(&exp_info);
	if (IS_ERR(dmabuf)) {
		kfree(name);
		return PTR_ERR(dmabuf);
	}

	buffer->dmabuf = dmabuf;

	/* The DMABUF frees it. */
	spin_lock(&dmabuf->name_lock);
	dmabuf->name = name;
	spin_unlock(&dmabuf->name_lock);

	/*
	 * Put every VMA of this buffer into the address space that the device
	 * file's VMAs are in.  vfio-pci-core zaps that one, from the offset of
	 * BAR 0 to the end of BAR 5, whenever the device's memory goes away,
	 * and with this reaches the VMAs of buffers as well.  The inode stays
	 * as long as the VFIO device's memory, to which we hold a reference.
	 */
	dmabuf->file->f_mapping = dvp->core.vdev.inode->i_mapping;

	mutex_lock(&dvp->buffers_lock);
	list_add_tail(&buffer->link, &dvp->buffers);
	mutex_unlock(&dvp->buffers_lock);
	return 0;
}

/**
 * dvp_buffer_get() - the buffer behind a file descriptor
 * @dvp: the device that it must belong to
 * @fd: from user space
 *
 * Return: the buffer, with a reference to its DMABUF that the caller puts;
 * -EBADF if @fd is not open; -EINVAL if it is no DMABUF of that device.
 */
struct dvp_buffer *dvp_buffer_get(struct dvp_device *dvp, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct dvp_buffer *buffer;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);

	buffer = dmabuf->priv;
	if (dmabuf->ops != &dvp_dmabuf_ops || buffer->dvp != dvp) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-EINVAL);
	}
	return buffer;
}
