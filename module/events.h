/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that report what happens to a buffer or to a device. */
#ifndef _DVP_EVENTS_H
#define _DVP_EVENTS_H

#include <linux/types.h>
#include "access.h"

struct dvp_buffer;
struct dvp_device;
struct file;
struct work_struct;

int dvp_events_start(void);
void dvp_events_stop(void);
void dvp_events_init(struct dvp_device *dvp);

struct file *dvp_events_file(struct dvp_device *dvp, struct dvp_buffer *buffer,
			     u32 open_flags);
int dvp_events_open(struct dvp_device *dvp, struct dvp_buffer *buffer,
		    u32 open_flags);
u32 dvp_events_state(struct dvp_buffer *buffer);

void dvp_events_suspended(struct dvp_device *dvp, enum dvp_reason reason,
			  bool suspended);
void dvp_events_revoked(struct dvp_buffer *buffer);
void dvp_events_closed(struct dvp_device *dvp);
void dvp_events_queue(struct work_struct *work);

#endif
