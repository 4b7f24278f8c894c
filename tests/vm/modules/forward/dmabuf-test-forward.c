// SPDX-License-Identifier: GPL-2.0-only
/*
 * Passes mmap() on to the exporter of a DMABUF.  The kernel then looks at the mode of
 * this file, and not at that of the DMABUF.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "../compat.h"
#include "forward.h"

IMPORT_NS(DMA_BUF);

static int forward_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static int forward_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		dma_buf_put(file->private_data);
	return 0;
}

static long forward_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct dma_buf *dmabuf;

	if (cmd != FORWARD_IMPORT)
		return -ENOTTY;
	dmabuf = dma_buf_get(arg);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (cmpxchg(&file->private_data, NULL, dmabuf)) {
		dma_buf_put(dmabuf);
		return -EBUSY;
	}
	return 0;
}

static int forward_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct dma_buf *dmabuf = READ_ONCE(file->private_data);

	return dmabuf ? dma_buf_mmap(dmabuf, vma, vma->vm_pgoff) : -ENOTCONN;
}

static const struct file_operations forward_fops = {
	.owner		= THIS_MODULE,
	.open		= forward_open,
	.release	= forward_release,
	.unlocked_ioctl	= forward_ioctl,
	.mmap		= forward_mmap,
};

static struct miscdevice forward_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "dmabuf-test-forward",
	.fops	= &forward_fops,
	.mode	= 0600,
};
module_misc_device(forward_device);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-dmabuf developers");
MODULE_DESCRIPTION("Passes mmap() on to a DMABUF");
