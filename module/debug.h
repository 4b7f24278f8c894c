/* SPDX-License-Identifier: GPL-2.0-only */
/* Looking at the module from outside: debugfs. */
#ifndef _DVP_DEBUG_H
#define _DVP_DEBUG_H

struct dvp_device;

void dvp_debug_init(void);
void dvp_debug_exit(void);
void dvp_debug_add(struct dvp_device *dvp);
void dvp_debug_remove(struct dvp_device *dvp);

#endif
