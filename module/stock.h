/* SPDX-License-Identifier: GPL-2.0-only */
/* Replacing stock vfio-pci: its module parameters. */
#ifndef _DVP_STOCK_H
#define _DVP_STOCK_H

struct dvp_device;
struct pci_driver;

#ifdef DVP_IS_VFIO_PCI
void dvp_stock_init(struct dvp_device *dvp);
void dvp_stock_add_ids(struct pci_driver *driver);
#else
static inline void dvp_stock_init(struct dvp_device *dvp)
{
}

static inline void dvp_stock_add_ids(struct pci_driver *driver)
{
}
#endif

#endif
