/* SPDX-License-Identifier: GPL-2.0-only */
/* VFIO_DEVICE_PCI_HOT_RESET. */
#ifndef _DVP_HOT_RESET_H
#define _DVP_HOT_RESET_H

struct vfio_device;

long dvp_hot_reset(struct vfio_device *core_vdev, unsigned long arg);

#endif
