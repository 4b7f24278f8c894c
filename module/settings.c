// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an administrator can set for each device, for programs that do not use
 * the ioctls: /sys/bus/pci/devices/<BDF>/vfio_dmabuf/.
 *
 * write_combine	BAR mappings of prefetchable BARs, made through the
 *			device fd, are write-combining.
 * core_export		VFIO_DEVICE_FEATURE_DMA_BUF is vfio-pci-core's own: not
 *			mappable, but iommufd imports it.
 *
 * Both apply to what is mapped or exported after the change.  The module's
 * parameters of the same names are the values that a device has when it is
 * bound.
 */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sysfs.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "device.h"
#include "memattr.h"
#include "settings.h"

static bool write_combine;
module_param(write_combine, bool, 0644);
MODULE_PARM_DESC(write_combine, "Start devices with write_combine set: prefetchable BARs are mapped write-combining through the device fd");

static bool core_export;
module_param(core_export, bool, 0644);
MODULE_PARM_DESC(core_export, "Start devices with core_export set: DMABUFs are exported by vfio-pci-core, for iommufd, and cannot be mapped");

static struct dvp_device *dvp_from_dev(struct device *dev)
{
	return pci_get_drvdata(to_pci_dev(dev));
}

static ssize_t store(bool *setting, bool supported, const char *buf,
		     size_t count)
{
	bool value;
	int ret;

	ret = kstrtobool(buf, &value);
	if (ret)
		return ret;
	if (value && !supported)
		return -EOPNOTSUPP;
	WRITE_ONCE(*setting, value);
	return count;
}

static ssize_t write_combine_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", dvp_from_dev(dev)->write_combine);
}

static ssize_t write_combine_store(struct device *dev,
				   struct device_attribute *attr,
				   const char *buf, size_t count)
{
	return store(&dvp_from_dev(dev)->write_combine,
		     dvp_memattr_supported(VFIO_DMABUF_MEMATTR_WC), buf, count);
}
static DEVICE_ATTR_RW(write_combine);

static ssize_t core_export_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", dvp_from_dev(dev)->core_export);
}

static ssize_t core_export_store(struct device *dev,
				 struct device_attribute *attr,
				 const char *buf, size_t count)
{
	return store(&dvp_from_dev(dev)->core_export, DVP_HAVE_CORE_EXPORT,
		     buf, count);
}
static DEVICE_ATTR_RW(core_export);

static struct attribute *settings_attrs[] = {
	&dev_attr_write_combine.attr,
	&dev_attr_core_export.attr,
	NULL
};

static const struct attribute_group settings_group = {
	.name = "vfio_dmabuf",
	.attrs = settings_attrs,
};

const struct attribute_group *dvp_settings_groups[] = {
	&settings_group,
	NULL
};

/**
 * dvp_settings_init() - set a new device to the module's parameters
 * @dvp: the device, not registered yet
 */
void dvp_settings_init(struct dvp_device *dvp)
{
	dvp->write_combine = write_combine &&
			     dvp_memattr_supported(VFIO_DMABUF_MEMATTR_WC);
	dvp->core_export = core_export && DVP_HAVE_CORE_EXPORT;
}
