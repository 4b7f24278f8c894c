/* SPDX-License-Identifier: GPL-2.0-only */
/* The mapping: a process's VMA over a buffer. */
#ifndef _DVP_MAPPING_H
#define _DVP_MAPPING_H

struct dma_buf;
struct dvp_buffer;
struct dvp_device;
struct vfio_device;
struct vm_area_struct;

int dvp_mmap_bar(struct vfio_device *core_vdev, struct vm_area_struct *vma);
int dvp_mmap_slice(struct dma_buf *dmabuf, struct vm_area_struct *vma);

void dvp_zap_device(struct dvp_device *dvp);
void dvp_zap_buffer(struct dvp_buffer *buffer);
int dvp_zap_buffer_now(struct dvp_buffer *buffer,
		       void (*revoke)(struct dvp_buffer *buffer));

#endif
