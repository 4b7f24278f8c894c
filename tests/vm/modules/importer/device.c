// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI driver, for one device that is bound to it by driver_override, and
 * its file.  See importer.h.
 */
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "attachment.h"
#include "engine.h"
#include "host_bridge.h"
#include "importer.h"

struct importer {
	struct pci_dev *pdev;
	struct pci_dev *bridge;		/* to be restored, or NULL */
	struct engine engine;
	struct miscdevice misc;
	atomic_t files;
	wait_queue_head_t idle;		/* woken when no file is open */
};

struct open_file {
	struct importer *importer;
	struct mutex lock;		/* protects attachment */
	struct attachment *attachment;	/* NULL if there is none */
};

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = container_of(file->private_data,
						 struct importer, misc);
	struct open_file *of = kzalloc(sizeof(*of), GFP_KERNEL);

	if (!of)
		return -ENOMEM;
	of->importer = importer;
	mutex_init(&of->lock);
	atomic_inc(&importer->files);
	file->private_data = of;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct open_file *of = file->private_data;
	struct importer *importer = of->importer;

	if (of->attachment)
		attachment_free(of->attachment);
	mutex_destroy(&of->lock);
	kfree(of);
	if (atomic_dec_and_test(&importer->files))
		wake_up_all(&importer->idle);
	return 0;
}

static int attach(struct open_file *of, void __user *arg)
{
	struct importer_attach request;
	struct attachment *a;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (of->attachment)
		return -EBUSY;
	a = attachment_new(&of->importer->engine, &of->importer->pdev->dev,
			   &request);
	if (IS_ERR(a))
		return PTR_ERR(a);
	of->attachment = a;
	return 0;
}

static int detach(struct open_file *of)
{
	attachment_free(of->attachment);
	of->attachment = NULL;
	return 0;
}

static int map(struct open_file *of, void __user *arg)
{
	struct importer_map request;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	return attachment_map(of->attachment, request.direction);
}

static int start(struct open_file *of, void __user *arg)
{
	struct importer_start request;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	return attachment_start(of->attachment, &request);
}

static int hold(struct open_file *of, void __user *arg)
{
	struct importer_hold request;
	struct eventfd_ctx *held;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	held = eventfd_ctx_fdget(request.event_fd);
	if (IS_ERR(held))
		return PTR_ERR(held);
	attachment_hold(of->attachment, held, request.then_map);
	eventfd_ctx_put(held);
	return -EINTR;
}

static int status(struct open_file *of, void __user *arg)
{
	struct importer_status status;

	attachment_status(of->attachment, &status);
	return copy_to_user(arg, &status, sizeof(status)) ? -EFAULT : 0;
}

static long importer_ioctl(struct file *file, unsigned int cmd,
			   unsigned long number)
{
	struct open_file *of = file->private_data;
	void __user *arg = (void __user *)number;

	guard(mutex)(&of->lock);

	if (cmd == IMPORTER_ATTACH)
		return attach(of, arg);
	if (!of->attachment)
		return -ENOTCONN;

	switch (cmd) {
	case IMPORTER_DETACH:
		return detach(of);
	case IMPORTER_MAP:
		return map(of, arg);
	case IMPORTER_UNMAP:
		return attachment_unmap(of->attachment);
	case IMPORTER_START:
		return start(of, arg);
	case IMPORTER_HOLD:
		return hold(of, arg);
	case IMPORTER_STATUS:
		return status(of, arg);
	}
	return -ENOTTY;
}

/* User memory is not touched under the locks of attachment_copy(). */
static ssize_t copy(struct file *file, void *data, size_t count, loff_t pos,
		    bool writes)
{
	struct open_file *of = file->private_data;

	guard(mutex)(&of->lock);

	if (!of->attachment)
		return -ENOTCONN;
	return attachment_copy(of->attachment, pos, data, count, writes);
}

static ssize_t importer_read(struct file *file, char __user *buf, size_t count,
			     loff_t *ppos)
{
	void *data;
	ssize_t ret;

	if (!count || count > IMPORTER_MOST || *ppos < 0)
		return -EINVAL;
	data = kzalloc(count, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	ret = copy(file, data, count, *ppos, false);
	if (!ret)
		ret = copy_to_user(buf, data, count) ? -EFAULT : count;
	kfree(data);
	return ret;
}

static ssize_t importer_write(struct file *file, const char __user *buf,
			      size_t count, loff_t *ppos)
{
	void *data;
	ssize_t ret;

	if (!count || count > IMPORTER_MOST || *ppos < 0)
		return -EINVAL;
	data = memdup_user(buf, count);
	if (IS_ERR(data))
		return PTR_ERR(data);
	ret = copy(file, data, count, *ppos, true);
	kfree(data);
	return ret ?: count;
}

static const struct file_operations importer_fops = {
	.owner		= THIS_MODULE,
	.open		= importer_open,
	.release	= importer_release,
	.unlocked_ioctl	= importer_ioctl,
	.read		= importer_read,
	.write		= importer_write,
};

static int importer_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct importer *importer;
	int ret;

	importer = devm_kzalloc(&pdev->dev, sizeof(*importer), GFP_KERNEL);
	if (!importer)
		return -ENOMEM;
	importer->pdev = pdev;
	init_waitqueue_head(&importer->idle);
	importer->misc.minor = MISC_DYNAMIC_MINOR;
	importer->misc.name = IMPORTER_DRIVER;
	importer->misc.fops = &importer_fops;
	importer->misc.mode = 0600;

	ret = pci_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	importer->bridge = host_bridge_allow_peers(pdev);

	ret = engine_init(&importer->engine, pdev);
	if (ret)
		goto restore;

	ret = misc_register(&importer->misc);
	if (ret)
		goto exit_engine;
	pci_set_drvdata(pdev, importer);
	return 0;

exit_engine:
	engine_exit(&importer->engine, pdev);
restore:
	host_bridge_restore(importer->bridge);
	pci_disable_device(pdev);
	return ret;
}

/* Unbinding waits until tests have closed the file. */
static void importer_remove(struct pci_dev *pdev)
{
	struct importer *importer = pci_get_drvdata(pdev);

	misc_deregister(&importer->misc);
	wait_event(importer->idle, !atomic_read(&importer->files));
	engine_exit(&importer->engine, pdev);
	host_bridge_restore(importer->bridge);
	pci_disable_device(pdev);
}

/* No table: a device comes by driver_override or not at all. */
static struct pci_driver importer_driver = {
	.name	= IMPORTER_DRIVER,
	.probe	= importer_probe,
	.remove	= importer_remove,
};
module_pci_driver(importer_driver);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-dmabuf developers");
MODULE_DESCRIPTION("Lets a test be the importer of a DMABUF");
