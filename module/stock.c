// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replacing stock vfio-pci, in the module that is built under its name: the
 * parameters that the stock driver has. Under its own name this driver does not
 * need them, because it gets devices by driver_override only.
 *
 * Names and meaning are stock's, so that boot parameters and modprobe.d files
 * for it (vfio-pci.ids=...) continue to work.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>
#include "compat.h"
#include "device.h"
#include "stock.h"

static char ids[1024];
module_param_string(ids, ids, sizeof(ids), 0);
MODULE_PARM_DESC(ids, "PCI IDs that the driver takes: vendor:device[:subvendor[:subdevice[:class[:class_mask]]]] in hexadecimal, separated by commas");

static bool nointxmask;
module_param(nointxmask, bool, 0644);
MODULE_PARM_DESC(nointxmask, "Do not mask INTx in the device, for devices that get it wrong");

static bool disable_vga;
#ifdef CONFIG_VFIO_PCI_VGA
module_param(disable_vga, bool, 0444);
MODULE_PARM_DESC(disable_vga, "Give no access to VGA resources");
#endif

static bool disable_idle_d3;
module_param(disable_idle_d3, bool, 0644);
MODULE_PARM_DESC(disable_idle_d3, "Do not put unused devices into D3");

/**
 * dvp_stock_init() - set a new device to the parameters
 * @dvp: the device, not registered yet
 */
void dvp_stock_init(struct dvp_device *dvp)
{
	dvp_set_core_options(&dvp->core, nointxmask, disable_vga,
			     disable_idle_d3);
}

static void add_id(struct pci_driver *driver, const char *text)
{
	unsigned int vendor, device, subvendor = PCI_ANY_ID;
	unsigned int subdevice = PCI_ANY_ID, class = 0, class_mask = 0;
	int ret;

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &vendor, &device, &subvendor,
		   &subdevice, &class, &class_mask) < 2) {
		pr_warn("ids: \"%s\" is not vendor:device[:...] in hexadecimal\n",
			text);
		return;
	}

	ret = pci_add_dynid(driver, vendor, device, subvendor, subdevice,
			    class, class_mask, 0);
	if (ret)
		pr_warn("ids: %s cannot be added (%d)\n", text, ret);
	else
		pr_info("ids: added %s\n", text);
}

/**
 * dvp_stock_add_ids() - let the driver bind the devices that "ids" names
 * @driver: registered; probes them at once
 */
void dvp_stock_add_ids(struct pci_driver *driver)
{
	char *rest = ids, *text;

	while ((text = strsep(&rest, ",")))
		if (*text)
			add_id(driver, text);
}
