/* SPDX-License-Identifier: GPL-2.0-only */
/* Access to the device's memory: suspended, given back, revoked. */
#ifndef _DVP_ACCESS_H
#define _DVP_ACCESS_H

#include <linux/types.h>

struct dvp_buffer;
struct dvp_device;
struct pci_dev;

enum dvp_access {
	DVP_ACCESS_LIVE,
	DVP_ACCESS_RESETTING,	/* suspended, and back as soon as the reset is done */
	DVP_ACCESS_SUSPENDED,	/* memory disabled, D3 or low power */
	DVP_ACCESS_REVOKED,
};

/* Why a device is suspended. */
enum dvp_reason {
	DVP_REASON_RESET = 1,	/* from reset_prepare to reset_done */
	DVP_REASON_MEMORY = 2,	/* memory disabled, D3 or low power, or about to be */
};

enum dvp_access dvp_access_test(const struct dvp_buffer *buffer);
bool dvp_access_wait(struct dvp_device *dvp);

void dvp_access_reset_prepare(struct pci_dev *pdev);
void dvp_access_reset_done(struct pci_dev *pdev);
void dvp_access_announce(struct dvp_device *dvp);
void dvp_access_changed(struct dvp_device *dvp, bool announced);

int dvp_access_revoke(struct dvp_buffer *buffer);
void dvp_access_revoke_all(struct dvp_device *dvp);

#endif
