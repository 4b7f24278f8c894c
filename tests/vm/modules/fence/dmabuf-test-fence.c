// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes fences that are never signaled, as a hostile client may hang on a
 * DMABUF.  (The kernel's own sw_sync is for debug kernels only.)
 */
#include <linux/dma-fence.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include "fence.h"

struct endless {
	struct dma_fence fence;	/* first: it is freed by this address */
	spinlock_t lock;
};

static const char *endless_name(struct dma_fence *fence)
{
	return "endless";
}

static const struct dma_fence_ops endless_ops = {
	.get_driver_name	= endless_name,
	.get_timeline_name	= endless_name,
};

static int new_fence(void)
{
	struct endless *endless = kzalloc(sizeof(*endless), GFP_KERNEL);
	struct sync_file *sync;
	int fd;

	if (!endless)
		return -ENOMEM;
	spin_lock_init(&endless->lock);
	dma_fence_init(&endless->fence, &endless_ops, &endless->lock,
		       dma_fence_context_alloc(1), 1);
	sync = sync_file_create(&endless->fence);
	dma_fence_put(&endless->fence);
	if (!sync)
		return -ENOMEM;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		fput(sync->file);
		return fd;
	}
	/* Fences end when they like, and need this code until then. */
	__module_get(THIS_MODULE);
	fd_install(fd, sync->file);
	return fd;
}

static long fence_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return cmd == FENCE_NEW ? new_fence() : -ENOTTY;
}

static const struct file_operations fence_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= fence_ioctl,
};

static struct miscdevice fence_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "dmabuf-test-fence",
	.fops	= &fence_fops,
	.mode	= 0600,
};
module_misc_device(fence_device);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-dmabuf developers");
MODULE_DESCRIPTION("Makes fences that are never signaled");
