/* SPDX-License-Identifier: GPL-2.0-only */
/* The features of the device fd. */
#ifndef _DVP_FEATURE_H
#define _DVP_FEATURE_H

#include <linux/types.h>

struct vfio_device;

int dvp_device_feature(struct vfio_device *core_vdev, u32 flags,
		       void __user *arg, size_t argsz);

#endif
