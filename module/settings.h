/* SPDX-License-Identifier: GPL-2.0-only */
/* What an administrator can set for each device. */
#ifndef _DVP_SETTINGS_H
#define _DVP_SETTINGS_H

struct attribute_group;
struct dvp_device;

extern const struct attribute_group *dvp_settings_groups[];

void dvp_settings_init(struct dvp_device *dvp);

#endif
