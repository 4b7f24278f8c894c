/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that tell what happens to a buffer. */
#ifndef _DVP_EVENTS_H
#define _DVP_EVENTS_H

#include <linux/types.h>
#include "access.h"

struct dvp_buffer;
struct dvp_device;

int dvp_events_open(struct dvp_buffer *buffer, u32 open_flags);
void dvp_events_suspended(struct dvp_device *dvp, enum dvp_reason reason,
			  bool suspended);
void dvp_events_revoked(struct dvp_buffer *buffer);

#endif
