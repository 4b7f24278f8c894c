/* SPDX-License-Identifier: GPL-2.0-only */
/* Importers: kernel drivers that reach a buffer by DMA. */
#ifndef _DVP_IMPORTERS_H
#define _DVP_IMPORTERS_H

#include <linux/dma-buf.h>

struct dvp_buffer;

int dvp_importer_attach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attachment);
struct sg_table *dvp_importer_map(struct dma_buf_attachment *attachment,
				  enum dma_data_direction direction);
void dvp_importer_unmap(struct dma_buf_attachment *attachment,
			struct sg_table *sgt,
			enum dma_data_direction direction);

void dvp_importers_evict(struct dvp_buffer *buffer);
void dvp_importers_notify(struct dvp_buffer *buffer);

#endif
