/* SPDX-License-Identifier: GPL-2.0-only */
/* System sleep: suspend to RAM, to idle, to disk. */
#ifndef _DVP_SLEEP_H
#define _DVP_SLEEP_H

struct pci_dev;

void dvp_sleep_init(struct pci_dev *pdev);

#endif
