/* SPDX-License-Identifier: GPL-2.0-only */
/* The buffer: a DMABUF over ranges of one BAR. */
#ifndef _DVP_BUFFER_H
#define _DVP_BUFFER_H

#include <linux/dma-buf.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include "ranges.h"

struct dvp_device;
struct file;
struct p2pdma_provider;

struct dvp_buffer {
	struct dvp_device *dvp;		/* a counted reference: memory, not access */
	struct list_head link;		/* in dvp->buffers, under buffers_lock */
	struct dma_buf *dmabuf;

	/*
	 * The device file that a BAR mapping keeps open, as it does on stock
	 * vfio-pci.  NULL is a slice, which keeps nothing open.
	 */
	struct file *device_file;

	unsigned long bar_pfn;		/* PFN of page 0 of the BAR */
	u64 base_page;			/* VMA offset, in pages, of the buffer's page 0 */
	struct mutex fault_lock;	/* one fault at a time; see insert.c */
	atomic_t mappings;		/* VMAs of this buffer, in all processes */
	bool revoked;			/* for good; written under gate and buffers_lock */
	u64 told_end;			/* 0 until revocation is complete; see events.c */
	bool read_only;
	u8 bar;
	u32 memattr;			/* VFIO_DMABUF_MEMATTR_*, see memattr.c */

	struct p2pdma_provider *provider;	/* NULL if there can be no importers */
	atomic_t dma_maps;		/* importers' mappings */
	wait_queue_head_t dma_idle;	/* woken when there are none left */

	struct dvp_ranges ranges;
	struct dvp_run runs[];		/* what ranges points at */
};

struct dvp_buffer *dvp_buffer_alloc(struct dvp_device *dvp, unsigned int bar,
				    u32 max_runs);
void dvp_buffer_free(struct dvp_buffer *buffer);
int dvp_buffer_publish(struct dvp_buffer *buffer, unsigned int open_flags);
struct dvp_buffer *dvp_buffer_get(struct dvp_device *dvp, int fd);

static inline bool dvp_buffer_is_slice(const struct dvp_buffer *buffer)
{
	return !buffer->device_file;
}

#endif
