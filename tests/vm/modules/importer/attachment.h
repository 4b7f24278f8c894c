/* SPDX-License-Identifier: GPL-2.0-only */
/* The attachment: one open file's part in one DMABUF. */
#ifndef TEST_IMPORTER_ATTACHMENT_H
#define TEST_IMPORTER_ATTACHMENT_H

#include <linux/dma-buf.h>
#include <linux/workqueue.h>
#include "importer.h"

struct engine;
struct eventfd_ctx;
struct pci_dev;

struct attachment {
	struct engine *engine;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct pci_dev *exporter;
	void __iomem *value;		/* its register */
	u32 flags;			/* of struct importer_attach */
	struct work_struct eviction;	/* of a late importer */

	/* Under the DMABUF's reservation: */
	struct sg_table *sgt;		/* NULL if it is not mapped */
	enum dma_data_direction direction;
	struct importer_status status;
};

struct attachment *attachment_new(struct engine *engine, struct device *dev,
				  const struct importer_attach *request);
void attachment_free(struct attachment *a);

int attachment_map(struct attachment *a, u32 direction);
int attachment_unmap(struct attachment *a);
int attachment_start(struct attachment *a, const struct importer_start *start);
int attachment_copy(struct attachment *a, u64 offset, void *data, u32 length,
		    bool writes);
void attachment_hold(struct attachment *a, struct eventfd_ctx *held, bool then_map);
void attachment_status(struct attachment *a, struct importer_status *status);

#endif
