// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI driver and its VFIO device: which callbacks this module implements,
 * and which are vfio-pci-core's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include "compat.h"
#include "access.h"
#include "config.h"
#include "debug.h"
#include "device.h"
#include "events.h"
#include "feature.h"
#include "hot_reset.h"
#include "importers.h"
#include "mapping.h"
#include "settings.h"
#include "sleep.h"
#include "stock.h"

static bool enable_sriov;
module_param(enable_sriov, bool, 0644);
MODULE_PARM_DESC(enable_sriov, "Allow VFs to be enabled on a PF bound to this driver, as vfio-pci's parameter of that name");

static bool disable_denylist;
module_param(disable_denylist, bool, 0444);
MODULE_PARM_DESC(disable_denylist, "Take devices whose known errata let their user do harm to the system, as vfio-pci's parameter of that name");

/* Devices that stock vfio-pci refuses. */
static const struct pci_device_id denylist[] = {
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C3XXX) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C3XXX_VF) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C62X) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C62X_VF) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_DH895XCC) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_DH895XCC_VF) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_DSA_SPR0) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_IAX_SPR0) },
	{}
};

static int dvp_init(struct vfio_device *core_vdev)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);

	strscpy(dvp->bdf, dev_name(core_vdev->dev));
	spin_lock_init(&dvp->buffers_lock);
	dvp->buffers = RB_ROOT;
	dvp->imported = RB_ROOT;
	dvp_access_init(dvp);
	dvp_events_init(dvp);
	dvp_settings_init(dvp);
	dvp_stock_init(dvp);

	return vfio_pci_core_init_dev(core_vdev);
}

static void dvp_release(struct vfio_device *core_vdev)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);

	WARN_ON(!RB_EMPTY_ROOT(&dvp->buffers));
	dvp_access_exit(dvp);
	vfio_pci_core_release_dev(core_vdev);
}

/*
 * What /proc/<pid>/maps shows: VFIO device, PCI function and BAR. Formatted
 * once: for each buffer it would be a quarter of the additional cost of an
 * mmap() over stock vfio-pci.
 */
static void make_names(struct dvp_device *dvp)
{
	unsigned int bar;

	for (bar = 0; bar < ARRAY_SIZE(dvp->names); bar++)
		snprintf(dvp->names[bar], sizeof(dvp->names[bar]), "%s:%s/%u",
			 dev_name(&dvp->core.vdev.device), dvp->bdf, bar);
}

static int dvp_open_device(struct vfio_device *core_vdev)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);
	int ret;

	ret = vfio_pci_core_enable(&dvp->core);
	if (ret)
		return ret;

	make_names(dvp);
	vfio_pci_core_finish_enable(&dvp->core);
	dvp_access_open(dvp);
	return 0;
}

static void dvp_close_device(struct vfio_device *core_vdev)
{
	dvp_access_close(dvp_from_core(core_vdev));
	vfio_pci_core_close_device(core_vdev);
}

static long reset(struct dvp_device *dvp, unsigned long arg)
{
	long ret;

	/* So that a signal can end the wait for importers. */
	ret = dvp_access_announce(dvp);
	if (ret)
		return ret;
	ret = vfio_pci_core_ioctl(&dvp->core.vdev, VFIO_DEVICE_RESET, arg);
	dvp_access_changed(dvp, true);
	return ret;
}

static long dvp_ioctl(struct vfio_device *core_vdev, unsigned int cmd,
		      unsigned long arg)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);

	if (cmd == VFIO_DEVICE_RESET && dvp->core.reset_works)
		return reset(dvp, arg);
	if (cmd == VFIO_DEVICE_PCI_HOT_RESET)
		return dvp_hot_reset(core_vdev, arg);
	return vfio_pci_core_ioctl(core_vdev, cmd, arg);
}

static ssize_t dvp_write(struct vfio_device *core_vdev, const char __user *buf,
			 size_t count, loff_t *ppos)
{
	if (VFIO_PCI_OFFSET_TO_INDEX(*ppos) == VFIO_PCI_CONFIG_REGION_INDEX)
		return dvp_config_write(core_vdev, buf, count, ppos);
	return vfio_pci_core_write(core_vdev, buf, count, ppos);
}

static const struct vfio_device_ops dvp_ops = {
	/*
	 * vfio-pci-core binds the VFs of a PF to the driver of this name, so it
	 * must be the name of the PCI driver.
	 */
	.name		= DVP_DRIVER,
	.init		= dvp_init,
	.release	= dvp_release,
	.open_device	= dvp_open_device,
	.close_device	= dvp_close_device,
	.ioctl		= dvp_ioctl,
	DVP_OPS_REGION_INFO
	.device_feature	= dvp_device_feature,
	.read		= vfio_pci_core_read,
	.write		= dvp_write,
	.mmap		= dvp_mmap_bar,
	.request	= vfio_pci_core_request,
	.match		= vfio_pci_core_match,
	DVP_OPS_MATCH_TOKEN_UUID
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
	DVP_OPS_PASID
};

static int dvp_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct dvp_device *dvp;
	int ret;

	if (!disable_denylist && pci_match_id(denylist, pdev)) {
		pci_warn(pdev, "refused for its errata; disable_denylist=1 takes it all the same\n");
		return -EINVAL;
	}

	dvp = vfio_alloc_device(dvp_device, core.vdev, &pdev->dev, &dvp_ops);
	if (IS_ERR(dvp))
		return PTR_ERR(dvp);

	/* vfio-pci-core finds its device here: it is the first member of ours. */
	static_assert(offsetof(struct dvp_device, core) == 0);
	pci_set_drvdata(pdev, &dvp->core);
	dvp_offer_core_export(&dvp->core);

	ret = vfio_pci_core_register_device(&dvp->core);
	/* It has set the driver's dev_pm_ops even if it fails. */
	dvp_sleep_init(pdev);
	if (ret) {
		vfio_put_device(&dvp->core.vdev);
		return ret;
	}

	dvp_debug_add(dvp);
	return 0;
}

/*
 * VFIO removes a device from its set of devices that are reset together when the
 * last reference is put.  With stock vfio-pci that happens when the driver is
 * unbound.  A buffer's reference can stay for longer.  VFIO would then use a PCI
 * device that another driver has, or that no longer exists.
 */
static void leave_set(struct vfio_device *core_vdev)
{
	guard(mutex)(&core_vdev->dev_set->lock);

	list_del_init(&core_vdev->dev_set_list);
}

static void dvp_remove(struct pci_dev *pdev)
{
	struct dvp_device *dvp = pci_get_drvdata(pdev);

	/*
	 * Waits until the device is closed, which revokes every buffer.  Slices
	 * that clients still hold only keep memory.
	 */
	vfio_pci_core_unregister_device(&dvp->core);
	leave_set(&dvp->core.vdev);
	dvp_debug_remove(dvp);
	vfio_put_device(&dvp->core.vdev);
}

static int dvp_sriov_configure(struct pci_dev *pdev, int nr_virtfn)
{
	struct dvp_device *dvp = pci_get_drvdata(pdev);

	if (!enable_sriov)
		return -ENOENT;
	return vfio_pci_core_sriov_configure(&dvp->core, nr_virtfn);
}

static const struct pci_error_handlers dvp_err_handlers = {
	.error_detected	= vfio_pci_core_aer_err_detected,
	.reset_prepare	= dvp_access_reset_prepare,
	.reset_done	= dvp_access_reset_done,
};

/* Any device, but only by driver_override. */
static const struct pci_device_id dvp_table[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{}
};

#ifdef DVP_IS_VFIO_PCI
/*
 * For programs that choose a VFIO driver by alias.  Under its own name the
 * driver would compete with the stock driver.
 */
MODULE_DEVICE_TABLE(pci, dvp_table);
#endif

static struct pci_driver dvp_driver = {
	.name			= DVP_DRIVER,
	.id_table		= dvp_table,
	.probe			= dvp_probe,
	.remove			= dvp_remove,
	.sriov_configure	= dvp_sriov_configure,
	.err_handler		= &dvp_err_handlers,
	.dev_groups		= dvp_settings_groups,
	.driver_managed_dma	= true,
};

static int __init dvp_module_init(void)
{
	int ret;

	dvp_warn_if_untested();
	ret = dvp_events_start();
	if (ret)
		return ret;
	ret = dvp_importers_start();
	if (ret)
		goto stop_events;
	dvp_debug_init();
	ret = pci_register_driver(&dvp_driver);
	if (ret)
		goto exit_debug;
	dvp_stock_add_ids(&dvp_driver);
	return 0;

exit_debug:
	dvp_debug_exit();
	dvp_importers_stop();
stop_events:
	dvp_events_stop();
	return ret;
}
module_init(dvp_module_init);

static void __exit dvp_module_exit(void)
{
	pci_unregister_driver(&dvp_driver);
	dvp_debug_exit();
	dvp_importers_stop();
	dvp_events_stop();
}
module_exit(dvp_module_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-dmabuf developers");
MODULE_DESCRIPTION("VFIO PCI with BAR mappings backed by DMABUFs");
MODULE_VERSION(DVP_VERSION);
