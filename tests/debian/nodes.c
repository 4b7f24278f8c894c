// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nodes that a kernel with iommufd has and Debian's has not, for udev and the
 * broker's unit: /dev/iommu, and the character device of a function that has a VFIO
 * driver, /dev/vfio/devices/vfio999.  Both can be opened, and do nothing.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

static char *function;
module_param(function, charp, 0);
MODULE_PARM_DESC(function, "address of the function");

static const struct file_operations operations = { .owner = THIS_MODULE };

static struct miscdevice iommu = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iommu",
	.nodename = "iommu",
	.fops = &operations,
	.mode = 0600,
};

static dev_t number;
static struct cdev cdev;
static struct device *node;

static char *name_node(const struct device *dev, umode_t *mode, kuid_t *uid, kgid_t *gid)
{
	return kasprintf(GFP_KERNEL, "vfio/devices/%s", dev_name(dev));
}

static const struct device_type type = { .devnode = name_node };

static void release(struct device *dev)
{
	kfree(dev);
}

/* The class is not exported, but the function's own device of VFIO is of it. */
static struct device *make_node(struct device *vfio)
{
	struct device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int ret;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	device_initialize(dev);
	dev->class = vfio->class;
	dev->parent = vfio->parent;
	dev->type = &type;
	dev->devt = number;
	dev->release = release;
	ret = dev_set_name(dev, "vfio999") ?: device_add(dev);
	if (!ret)
		return dev;
	put_device(dev);
	return ERR_PTR(ret);
}

static int look_at(struct device *child, void *unused)
{
	if (!child->class || strcmp(child->class->name, "vfio-dev"))
		return 0;
	node = make_node(child);
	return PTR_ERR_OR_ZERO(node) ?: 1;
}

static int __init nodes_init(void)
{
	struct device *parent;
	int ret;

	/* The name is the one that DeviceAllow=char-vfio-dev looks for. */
	ret = alloc_chrdev_region(&number, 0, 1, "vfio-dev");
	if (ret)
		return ret;
	cdev_init(&cdev, &operations);
	ret = cdev_add(&cdev, number, 1);
	if (ret)
		goto out_region;
	ret = misc_register(&iommu);
	if (ret)
		goto out_cdev;
	parent = bus_find_device_by_name(&pci_bus_type, NULL, function);
	ret = parent ? device_for_each_child(parent, NULL, look_at) : -ENODEV;
	put_device(parent);
	if (ret > 0)
		return 0;
	ret = ret ?: -ENODEV;
	misc_deregister(&iommu);
out_cdev:
	cdev_del(&cdev);
out_region:
	unregister_chrdev_region(number, 1);
	return ret;
}

static void __exit nodes_exit(void)
{
	device_unregister(node);
	misc_deregister(&iommu);
	cdev_del(&cdev);
	unregister_chrdev_region(number, 1);
}

module_init(nodes_init);
module_exit(nodes_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Nodes of iommufd, for tests");
