// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a buffer.
 *
 *                     struct dvp_device  (memory of the VFIO device)
 *                        ^           :
 *              reference |           : by id, no reference
 *                        |           v
 *   VMA ---> DMABUF ---> struct dvp_buffer <--- event files, calls at work
 *                                       |
 *                                       | reference, BAR mappings only
 *                                       v
 *                                  device file ---> the device is open
 *
 * The DMABUF has the first reference to the buffer: the last close or munmap of
 * it, in whatever process, ends in dvp_dmabuf_release(), which takes the buffer
 * out of the device's index and puts the device file.  The rest of the structure
 * stays as long as somebody refers to it, and keeps the memory of the VFIO device
 * and this module.  That says nothing about access to the hardware: only a BAR
 * mapping keeps the device open, and a buffer that outlives the open device is
 * revoked (see access.c).
 *
 * A client can make the DMABUF outlive its struct file: an O_PATH fd of it holds
 * the dentry, and the DMABUF lives as long as that.  So the code here never
 * follows a buffer to that file, unless a caller or an importer holds a reference
 * to it.
 */
#include <linux/atomic.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/slab.h>
#include "compat.h"
#include "buffer.h"
#include "device.h"
#include "events.h"
#include "importers.h"
#include "mapping.h"
#include "trace.h"

DVP_IMPORT_NS(DMA_BUF);

/* Of all devices, so that an id never means two buffers. */
static atomic64_t last_id;

/**
 * dvp_buffer_alloc() - make a buffer that nobody sees yet
 * @dvp: an open device; the buffer takes a reference to its memory
 * @bar: region index of a memory BAR, 0 to 5
 * @max_runs: number of runs to make room for
 *
 * The caller fills in ranges, base_page, device_file and read_only and then
 * calls dvp_buffer_publish() or dvp_buffer_put().
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
	refcount_set(&buffer->refs, 1);
	buffer->listed.id = atomic64_inc_return(&last_id);
	buffer->imported.id = buffer->listed.id;
	init_rwsem(&buffer->huge_lock);
	INIT_LIST_HEAD(&buffer->watchers);
	buffer->bar = bar;
	buffer->bar_pfn = pci_resource_start(pdev, bar) >> PAGE_SHIFT;
	buffer->provider = dvp_p2p_provider(pdev, bar);
	init_waitqueue_head(&buffer->dma_idle);
	INIT_WORK(&buffer->notice, dvp_importers_notice);
	return buffer;
}

/**
 * dvp_buffer_put() - put a reference
 * @buffer: with a reference of the caller's; freed if it was the last one
 */
void dvp_buffer_put(struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;

	if (!refcount_dec_and_test(&buffer->refs))
		return;
	if (buffer->device_file)
		fput(buffer->device_file);
	kvfree(buffer);
	vfio_put_device(&dvp->core.vdev);
}

static void dvp_dmabuf_release(struct dma_buf *dmabuf)
{
	struct dvp_buffer *buffer = dmabuf->priv;
	struct file *device_file = buffer->device_file;
	struct dvp_device *dvp = buffer->dvp;

	spin_lock(&dvp->buffers_lock);
	dvp_index_remove(&dvp->buffers, &buffer->listed);
	spin_unlock(&dvp->buffers_lock);

	/*
	 * No file and no mapping is left, so no importer either: importers hold
	 * the file.  Pairs with dvp_events_revoked().
	 */
	smp_store_release(&buffer->zapped, true);
	dvp_events_revoked(buffer);
	trace_buffer_release(buffer);

	buffer->device_file = NULL;
	dvp_buffer_put(buffer);
	if (device_file)
		fput(device_file);
}

static const struct dma_buf_ops dvp_dmabuf_ops = {
	.attach		= dvp_importer_attach,
	.detach		= dvp_importer_detach,
	.map_dma_buf	= dvp_importer_map,
	.unmap_dma_buf	= dvp_importer_unmap,
	.mmap		= dvp_mmap_slice,
	.release	= dvp_dmabuf_release,
};

/**
 * dvp_buffer_publish() - turn a buffer into a DMABUF and index it
 * @buffer: complete; its reference is the DMABUF's after success, still the
 *	caller's after an error
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

	name = kstrdup(dvp->names[buffer->bar], GFP_KERNEL_ACCOUNT);
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
	buffer->inode = file_inode(dmabuf->file)->i_ino;

	/* The DMABUF frees it. */
	spin_lock(&dmabuf->name_lock);
	dmabuf->name = name;
	spin_unlock(&dmabuf->name_lock);

	/*
	 * Put every VMA of this buffer into the address space of the device
	 * file's VMAs.  When the device loses its memory, vfio-pci-core zaps
	 * that address space from the offset of BAR 0 to the end of BAR 5, and
	 * so reaches the VMAs of buffers as well.  The inode stays as long as
	 * the VFIO device's memory, to which we hold a reference.
	 */
	dmabuf->file->f_mapping = dvp->core.vdev.inode->i_mapping;

	spin_lock(&dvp->buffers_lock);
	dvp_index_add(&dvp->buffers, &buffer->listed);
	spin_unlock(&dvp->buffers_lock);
	return 0;
}

static struct dvp_buffer *get_by_fd(struct dvp_device *dvp, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct dvp_buffer *buffer;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);

	buffer = dmabuf->priv;
	if (dmabuf->ops != &dvp_dmabuf_ops)
		buffer = ERR_PTR(-EINVAL);
	else if (buffer->dvp != dvp)
		buffer = ERR_PTR(-ENODEV);
	else
		refcount_inc(&buffer->refs);
	dma_buf_put(dmabuf);
	return buffer;
}

static struct dvp_buffer *get_by_id(struct dvp_device *dvp, u64 id)
{
	struct dvp_buffer *buffer = dvp_buffer_get_from(dvp, id);

	if (!buffer)
		return ERR_PTR(-ENOENT);
	if (dvp_buffer_id(buffer) == id)
		return buffer;
	dvp_buffer_put(buffer);
	return ERR_PTR(-ENOENT);
}

/**
 * dvp_buffer_get() - the buffer that user space names
 * @dvp: the device that it must belong to
 * @fd: a DMABUF, or -1
 * @id: of a buffer if @fd is -1, else 0
 *
 * Return: the buffer, for dvp_buffer_put(); -EBADF if @fd is not open; -EINVAL
 * if it is not a DMABUF of this driver, or @fd and @id do not go together;
 * -ENODEV if it is another device's; -ENOENT if there is no buffer of that id.
 */
struct dvp_buffer *dvp_buffer_get(struct dvp_device *dvp, int fd, u64 id)
{
	if (fd == -1)
		return get_by_id(dvp, id);
	if (fd < 0 || id)
		return ERR_PTR(-EINVAL);
	return get_by_fd(dvp, fd);
}

/**
 * dvp_buffer_from() - iterate over a device's buffers
 * @dvp: the device, its buffers_lock held
 * @id: the least that the buffer's may be
 *
 * Return: the buffer with the least id from @id on, or NULL if there is none.
 */
struct dvp_buffer *dvp_buffer_from(struct dvp_device *dvp, u64 id)
{
	struct dvp_entry *entry;

	lockdep_assert_held(&dvp->buffers_lock);

	entry = dvp_index_from(&dvp->buffers, id);
	return entry ? container_of(entry, struct dvp_buffer, listed) : NULL;
}

/**
 * dvp_buffer_get_from() - iterate over a device's buffers, without the lock
 * @dvp: the device
 * @id: the least that the buffer's may be
 *
 * Return: as dvp_buffer_from(), for dvp_buffer_put().
 */
struct dvp_buffer *dvp_buffer_get_from(struct dvp_device *dvp, u64 id)
{
	struct dvp_buffer *buffer;

	/* The DMABUF puts its reference after the buffer is out of the index. */
	spin_lock(&dvp->buffers_lock);
	buffer = dvp_buffer_from(dvp, id);
	if (buffer)
		refcount_inc(&buffer->refs);
	spin_unlock(&dvp->buffers_lock);
	return buffer;
}
