/* SPDX-License-Identifier: GPL-2.0-only */
/* The buffer: a DMABUF over ranges of one BAR. */
#ifndef _DVP_BUFFER_H
#define _DVP_BUFFER_H

#include <linux/dma-buf.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "index.h"
#include "ranges.h"

struct dvp_device;
struct file;
struct p2pdma_provider;

struct dvp_buffer {
	struct dvp_device *dvp;		/* a counted reference: memory, not access */
	refcount_t refs;		/* of the DMABUF, of event files, of calls at work */
	struct dvp_entry listed;	/* in dvp->buffers; has the id */
	struct dvp_entry imported;	/* in dvp->imported while attached */
	u64 inode;			/* of the DMABUF */

	/*
	 * To be used only with a reference to the DMABUF's file.  An attached
	 * importer holds one.  If a client has an O_PATH fd, the DMABUF
	 * outlives its file.
	 */
	struct dma_buf *dmabuf;

	/*
	 * The device file that a BAR mapping keeps open, as it does on stock
	 * vfio-pci.  A slice keeps nothing open.
	 */
	struct file *device_file;
	bool bar_mapping;

	unsigned long bar_pfn;		/* PFN of page 0 of the BAR */
	u64 base_page;			/* VMA offset, in pages, of the buffer's page 0 */
	struct rw_semaphore huge_lock;	/* see insert.c */
	atomic_t mappings;		/* VMAs of this buffer, in all processes */
	bool revoked;			/* never cleared; written under gate */
	bool zapped;			/* revoked, and no CPU mapping is left */
	bool returned;			/* a revocation has returned */
	u64 told_end;			/* 0 until revocation is complete; see events.c */
	struct list_head watchers;	/* event files, under events_lock */
	bool read_only;
	u8 bar;
	u32 memattr;			/* VFIO_DMABUF_MEMATTR_*; under buffers_lock */

	struct p2pdma_provider *provider;	/* NULL if there can be no importers */
	unsigned int attached;		/* importers; under buffers_lock */
	atomic_t dma_maps;		/* importers' mappings, also one being made */
	wait_queue_head_t dma_idle;	/* woken when there are none left */
	struct work_struct notice;	/* to importers; see importers.c */

	struct dvp_ranges ranges;
	struct dvp_run runs[];		/* what ranges points at */
};

struct dvp_buffer *dvp_buffer_alloc(struct dvp_device *dvp, unsigned int bar,
				    u32 max_runs);
void dvp_buffer_put(struct dvp_buffer *buffer);
int dvp_buffer_publish(struct dvp_buffer *buffer, unsigned int open_flags);
struct dvp_buffer *dvp_buffer_get(struct dvp_device *dvp, int fd, u64 id);
struct dvp_buffer *dvp_buffer_from(struct dvp_device *dvp, u64 id);
struct dvp_buffer *dvp_buffer_get_from(struct dvp_device *dvp, u64 id);

static inline u64 dvp_buffer_id(const struct dvp_buffer *buffer)
{
	return buffer->listed.id;
}

static inline bool dvp_buffer_is_slice(const struct dvp_buffer *buffer)
{
	return !buffer->bar_mapping;
}

#endif
