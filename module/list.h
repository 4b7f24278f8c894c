/* SPDX-License-Identifier: GPL-2.0-only */
/* The list of a device's buffers, for its owner. */
#ifndef _DVP_LIST_H
#define _DVP_LIST_H

#include <linux/types.h>

struct dvp_buffer;
struct dvp_device;
struct vfio_dmabuf_feature_info;
struct vfio_dmabuf_feature_list;

int dvp_list(struct dvp_device *dvp, struct vfio_dmabuf_feature_list *request);
int dvp_info(struct dvp_buffer *buffer, struct vfio_dmabuf_feature_info *request);

#endif
