/* SPDX-License-Identifier: MIT */
/* A slice, leased from the broker or exported from a device that this process opens. */
#ifndef CMD_TARGET_H
#define CMD_TARGET_H

#include <vfio-dmabuf.h>

#include "parse.h"

struct opened {
	struct vdb_device *device;	/* or */
	struct vdb_client *client;
	struct vdb_slice *slice;
	uint64_t length;		/* of the slice or the BAR, which can be smaller than a page */
};

#define BROKER_MS	30000	/* time limit for an answer of the broker */

/* What to do if the broker cannot be connected to for this errno. */
const char *broker_advice(int error);
/* Connects to the broker; NULL after printing an error. */
struct vdb_client *connect_broker(void);
/*
 * 0, or STATUS_FAILED after printing an error.  VFIO resets a function that is opened
 * here, so @reset must be true for that.  @vf_token: NULL, or a UUID for a virtual
 * function.
 */
int target_open(const struct target *target, unsigned int flags, bool reset, const char *vf_token,
		struct opened *opened);
void target_close(struct opened *opened);

#endif
