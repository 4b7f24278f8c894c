/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes to config space. */
#ifndef _DVP_CONFIG_H
#define _DVP_CONFIG_H

#include <linux/types.h>

struct vfio_device;

ssize_t dvp_config_write(struct vfio_device *core_vdev, const char __user *buf,
			 size_t count, loff_t *ppos);

#endif
