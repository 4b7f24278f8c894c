// SPDX-License-Identifier: GPL-2.0-only
/*
 * During system sleep a device's registers cannot be reached, as during a reset.
 * Afterwards they have their values of power-on.  vfio-pci-core handles runtime
 * power management only.
 *
 * ->prepare() and ->complete() are called for all devices before the first one is
 * suspended, and after the last one is resumed, when user space is frozen.  So
 * the drivers of importers can still unmap.
 */
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include "compat.h"
#include "access.h"
#include "device.h"
#include "sleep.h"

static int sleep_prepare(struct device *dev)
{
	return dvp_access_sleep(pci_get_drvdata(to_pci_dev(dev)));
}

static void sleep_complete(struct device *dev)
{
	dvp_access_wake(pci_get_drvdata(to_pci_dev(dev)));
}

/* vfio-pci-core's callbacks, and two more. */
static struct dev_pm_ops sleep_ops;
static DEFINE_MUTEX(sleep_lock);	/* protects their setup */

/**
 * dvp_sleep_init() - add system sleep to the driver's callbacks
 * @pdev: after its registration with vfio-pci-core, which sets the driver's
 *	dev_pm_ops for each of them
 *
 * The system does not go to sleep while a device is probed.
 */
void dvp_sleep_init(struct pci_dev *pdev)
{
	struct device_driver *driver = pdev->dev.driver;

	guard(mutex)(&sleep_lock);

	/* vfio-pci-core failed before it set them. */
	if (!driver->pm)
		return;
	if (!sleep_ops.prepare) {
		sleep_ops = *driver->pm;
		sleep_ops.prepare = sleep_prepare;
		sleep_ops.complete = sleep_complete;
	}
	WRITE_ONCE(driver->pm, &sleep_ops);
}
