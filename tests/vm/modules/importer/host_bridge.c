// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel allows peer-to-peer traffic between devices on root buses only if the CPU
 * or the host bridge is in its pci_p2pdma_whitelist[].  The CPU of the lab's amd64
 * machine is allowed.  The generic host bridge of QEMU's arm64 machine is not,
 * although it does pass the traffic on.  So it is given the ID of one in the list,
 * which is all that the kernel looks at, as long as the importer is bound.  A driver
 * cannot do this to a real machine by accident: the ID is QEMU's.
 */
#include "host_bridge.h"

#define QEMU_HOST_BRIDGE	0x0008
#define LISTED_VENDOR		PCI_VENDOR_ID_INTEL
#define LISTED_DEVICE		0x2030	/* Sky Lake-E, root port A */

struct pci_dev *host_bridge_allow_peers(struct pci_dev *pdev)
{
	struct pci_dev *bridge;

	bridge = pci_get_domain_bus_and_slot(pci_domain_nr(pdev->bus), 0,
					     PCI_DEVFN(0, 0));
	if (bridge && bridge->vendor == PCI_VENDOR_ID_REDHAT &&
	    bridge->device == QEMU_HOST_BRIDGE) {
		bridge->vendor = LISTED_VENDOR;
		bridge->device = LISTED_DEVICE;
		return bridge;
	}
	pci_dev_put(bridge);
	return NULL;
}

void host_bridge_restore(struct pci_dev *bridge)
{
	if (!bridge)
		return;
	bridge->vendor = PCI_VENDOR_ID_REDHAT;
	bridge->device = QEMU_HOST_BRIDGE;
	pci_dev_put(bridge);
}
