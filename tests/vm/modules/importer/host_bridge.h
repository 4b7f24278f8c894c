/* SPDX-License-Identifier: GPL-2.0-only */
/* The host bridge between a device and its peers. */
#ifndef _DMABUF_TEST_HOST_BRIDGE_H
#define _DMABUF_TEST_HOST_BRIDGE_H

#include <linux/pci.h>

/*
 * Makes the kernel allow peer-to-peer traffic across QEMU's generic host bridge.
 * Returns the bridge, for host_bridge_restore(), or NULL if it is another one.
 */
struct pci_dev *host_bridge_allow_peers(struct pci_dev *pdev);
/* Undoes that. */
void host_bridge_restore(struct pci_dev *bridge);

#endif
