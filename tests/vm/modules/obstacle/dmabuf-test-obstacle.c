// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client can be in the way with.  On a machine with other devices it need no
 * such module: the lock is taken by mmap(), and KVM or RDMA register MMU notifiers.
 */
#include <linux/atomic.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include "obstacle.h"

struct obstacle {
#ifdef CONFIG_MMU_NOTIFIER
	struct mmu_notifier notifier;
	bool registered;
#endif
	atomic_t calls;
};

#ifdef CONFIG_MMU_NOTIFIER
static int invalidate(struct mmu_notifier *notifier,
		      const struct mmu_notifier_range *range)
{
	struct obstacle *obstacle = container_of(notifier, struct obstacle,
						 notifier);

	atomic_inc(&obstacle->calls);
	return 0;
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate,
};

static int notify(struct obstacle *obstacle)
{
	int ret;

	if (obstacle->registered)
		return -EBUSY;
	obstacle->notifier.ops = &notifier_ops;
	ret = mmu_notifier_register(&obstacle->notifier, current->mm);
	obstacle->registered = !ret;
	return ret;
}

static void notify_no_more(struct obstacle *obstacle)
{
	if (obstacle->registered)
		mmu_notifier_unregister(&obstacle->notifier,
					obstacle->notifier.mm);
}
#else
static int notify(struct obstacle *obstacle)
{
	return -EOPNOTSUPP;
}

static void notify_no_more(struct obstacle *obstacle)
{
}
#endif

static void hold_mapping(struct address_space *mapping, struct eventfd_ctx *held)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(signal);

	i_mmap_lock_write(mapping);
	eventfd_signal(held);
	wait_event_interruptible(signal, false);
	i_mmap_unlock_write(mapping);
}

static int hold(const struct obstacle_hold __user *arg)
{
	struct obstacle_hold request;
	struct eventfd_ctx *held;
	struct file *file;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	held = eventfd_ctx_fdget(request.event_fd);
	if (IS_ERR(held))
		return PTR_ERR(held);
	file = fget(request.file);
	if (file) {
		hold_mapping(file->f_mapping, held);
		fput(file);
	}
	eventfd_ctx_put(held);
	return file ? 0 : -EBADF;
}

static int obstacle_open(struct inode *inode, struct file *file)
{
	struct obstacle *obstacle = kzalloc(sizeof(*obstacle), GFP_KERNEL);

	file->private_data = obstacle;
	return obstacle ? 0 : -ENOMEM;
}

static int obstacle_release(struct inode *inode, struct file *file)
{
	struct obstacle *obstacle = file->private_data;

	notify_no_more(obstacle);
	kfree(obstacle);
	return 0;
}

static long obstacle_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct obstacle *obstacle = file->private_data;

	switch (cmd) {
	case OBSTACLE_HOLD:
		return hold((void __user *)arg);
	case OBSTACLE_NOTIFY:
		return notify(obstacle);
	case OBSTACLE_CALLS:
		return atomic_read(&obstacle->calls);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations obstacle_fops = {
	.owner		= THIS_MODULE,
	.open		= obstacle_open,
	.release	= obstacle_release,
	.unlocked_ioctl	= obstacle_ioctl,
};

static struct miscdevice obstacle_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "dmabuf-test-obstacle",
	.fops	= &obstacle_fops,
	.mode	= 0600,
};
module_misc_device(obstacle_device);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-dmabuf developers");
MODULE_DESCRIPTION("Holds what a client can hold");
