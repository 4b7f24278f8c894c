/* SPDX-License-Identifier: GPL-2.0-only */
/* Access to the device's memory: suspended, resumed, revoked. */
#ifndef _DVP_ACCESS_H
#define _DVP_ACCESS_H

#include <linux/types.h>

struct dvp_buffer;
struct dvp_device;
struct pci_dev;

enum dvp_access {
	DVP_ACCESS_LIVE,
	DVP_ACCESS_HELD,	/* suspended until a reset or sleep is over */
	DVP_ACCESS_SUSPENDED,	/* memory disabled, D3 or low power */
	DVP_ACCESS_REVOKED,
	DVP_ACCESS_BUSY,	/* about to change: test again */
};

/* Why a device is suspended. */
enum dvp_reason {
	DVP_REASON_RESET = 1,	/* from reset_prepare to reset_done */
	DVP_REASON_MEMORY = 2,	/* memory disabled, D3 or low power, or about to be */
	DVP_REASON_SLEEP = 4,	/* the system sleeps */
};

enum dvp_access dvp_access_test(const struct dvp_buffer *buffer);
enum dvp_access dvp_access_begin(struct dvp_buffer *buffer);
void dvp_access_end(struct dvp_buffer *buffer);
bool dvp_access_wait(struct dvp_device *dvp, enum dvp_access access);

void dvp_access_init(struct dvp_device *dvp);
void dvp_access_exit(struct dvp_device *dvp);
void dvp_access_open(struct dvp_device *dvp);
void dvp_access_close(struct dvp_device *dvp);

void dvp_access_reset_prepare(struct pci_dev *pdev);
void dvp_access_reset_done(struct pci_dev *pdev);
int dvp_access_sleep(struct dvp_device *dvp);
void dvp_access_wake(struct dvp_device *dvp);
void dvp_access_hold(struct dvp_device *dvp);
void dvp_access_unhold(struct dvp_device *dvp, bool in_vain);
int dvp_access_announce(struct dvp_device *dvp);
void dvp_access_changed(struct dvp_device *dvp, bool announced);

int dvp_access_revoke(struct dvp_buffer *buffer);
int dvp_access_revoke_now(struct dvp_buffer *buffer);

#endif
