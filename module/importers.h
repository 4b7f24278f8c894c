/* SPDX-License-Identifier: GPL-2.0-only */
/* Importers of a buffer: other devices' drivers that map it for DMA. */
#ifndef _DVP_IMPORTERS_H
#define _DVP_IMPORTERS_H

#include <linux/dma-buf.h>

struct dvp_buffer;
struct dvp_device;
struct work_struct;

/* How long an eviction waits for importers. */
enum dvp_patience {
	DVP_FOR_EVER,
	DVP_UNTIL_A_SIGNAL,	/* then -ERESTARTSYS */
	DVP_FOR_A_SECOND,	/* then -EBUSY */
};

int dvp_importer_attach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attachment);
void dvp_importer_detach(struct dma_buf *dmabuf,
			 struct dma_buf_attachment *attachment);
struct sg_table *dvp_importer_map(struct dma_buf_attachment *attachment,
				  enum dma_data_direction direction);
void dvp_importer_unmap(struct dma_buf_attachment *attachment,
			struct sg_table *sgt,
			enum dma_data_direction direction);

bool dvp_importers_any(struct dvp_buffer *buffer);
int dvp_importers_evict(struct dvp_buffer *buffer, enum dvp_patience patience);
int dvp_importers_evict_all(struct dvp_device *dvp, enum dvp_patience patience);
void dvp_importers_resume(struct dvp_device *dvp);
void dvp_importers_notice(struct work_struct *work);

int dvp_importers_start(void);
void dvp_importers_stop(void);

#endif
