// SPDX-License-Identifier: GPL-2.0-only
/*
 * Importers of a buffer: kernel drivers that map it for DMA by their device,
 * straight to this device's BAR (peer to peer).
 *
 * Only importers that can lose a mapping at any time are let in: they must
 * accept MMIO, and unmap in bounded time after dma_buf_invalidate_mappings().
 * To take access away, set what dvp_importer_map() tests, and then evict: no
 * importer is left.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "buffer.h"
#include "device.h"
#include "events.h"
#include "importers.h"

/* When an importer that does not unmap is named in the log. */
#define EVICT_PATIENCE	HZ

/*
 * An attachment's priv, under the reservation: the importer had to unmap
 * because of a suspension, or could not map, and has not mapped since.
 */
#define WAITING	((void *)1)

/* Each notice can wait for a reservation that a client holds. */
static struct workqueue_struct *notice_queue;

/* One importer's mapping of a whole buffer. */
struct importer_map {
	struct sg_table sgt;		/* what the importer gets: all parts joined */
	u32 nr_parts;
	struct sg_table *parts[];	/* one for each run */
};

/**
 * dvp_importer_attach() - let an importer in, or refuse it
 * @dmabuf: ours
 * @attachment: the importer's
 *
 * Return: 0; -ENODEV if the buffer is revoked; -EOPNOTSUPP if the importer
 * cannot take MMIO or cannot be revoked, or the kernel does not support this.
 */
int dvp_importer_attach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attachment)
{
	struct dvp_buffer *buffer = dmabuf->priv;
	struct dvp_device *dvp = buffer->dvp;
	int ret = 0;

	if (READ_ONCE(buffer->revoked))
		return -ENODEV;
	if (!buffer->provider || !attachment->peer2peer ||
	    !dvp_attach_revocable(attachment))
		return -EOPNOTSUPP;

	/* Either this sees revoked, or the code that sets it sees attached. */
	spin_lock(&dvp->buffers_lock);
	if (READ_ONCE(buffer->revoked))
		ret = -ENODEV;
	else if (!buffer->attached++)
		dvp_index_add(&dvp->imported, &buffer->imported);
	spin_unlock(&dvp->buffers_lock);
	return ret;
}

/**
 * dvp_importer_detach() - an importer detaches
 * @dmabuf: ours
 * @attachment: the importer's, with nothing mapped
 */
void dvp_importer_detach(struct dma_buf *dmabuf,
			 struct dma_buf_attachment *attachment)
{
	struct dvp_buffer *buffer = dmabuf->priv;
	struct dvp_device *dvp = buffer->dvp;

	spin_lock(&dvp->buffers_lock);
	if (!--buffer->attached)
		dvp_index_remove(&dvp->imported, &buffer->imported);
	spin_unlock(&dvp->buffers_lock);
}

static void free_parts(struct dma_buf_attachment *attachment,
		       struct importer_map *map,
		       enum dma_data_direction direction)
{
	while (map->nr_parts)
		dvp_unmap_part(attachment, map->parts[--map->nr_parts],
			       direction);
}

/*
 * Map the runs one by one.  dma_buf_phys_vec_to_sgt() takes several, but in
 * Linux 7.3 it links each of them at offset 0 of the same IOVA range, and the
 * second fails with -EADDRINUSE.
 */
static int map_parts(struct dma_buf_attachment *attachment,
		     struct importer_map *map,
		     enum dma_data_direction direction)
{
	struct dvp_buffer *buffer = attachment->dmabuf->priv;
	const struct dvp_ranges *ranges = &buffer->ranges;
	u32 i;

	for (i = 0; i < ranges->nr_runs; i++) {
		phys_addr_t start = PFN_PHYS(buffer->bar_pfn +
					     ranges->runs[i].bar_page);
		struct sg_table *part;

		part = dvp_map_part(attachment, buffer->provider, start,
				    dvp_ranges_run_pages(ranges, i) << PAGE_SHIFT,
				    direction);
		if (IS_ERR(part)) {
			free_parts(attachment, map, direction);
			return PTR_ERR(part);
		}
		/*
		 * It is 0, for "no list of pages".  In Linux 7.3
		 * dma_buf_free_sgt() treats that as the number of entries to
		 * free, and leaks them.
		 */
		part->orig_nents = part->nents;
		map->parts[map->nr_parts++] = part;
	}
	return 0;
}

/* Join the parts' entries. */
static int join_parts(struct importer_map *map)
{
	struct scatterlist *from, *to;
	unsigned int nents = 0;
	int ret, i;
	u32 part;

	for (part = 0; part < map->nr_parts; part++)
		nents += map->parts[part]->nents;

	ret = sg_alloc_table(&map->sgt, nents, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;

	to = map->sgt.sgl;
	for (part = 0; part < map->nr_parts; part++) {
		for_each_sgtable_dma_sg(map->parts[part], from, i) {
			sg_set_page(to, NULL, sg_dma_len(from), 0);
			sg_dma_address(to) = sg_dma_address(from);
			sg_dma_len(to) = sg_dma_len(from);
			to = sg_next(to);
		}
	}

	/* Tells importers that there is no list of pages. */
	map->sgt.orig_nents = 0;
	return 0;
}

static bool kept_out(const struct dvp_buffer *buffer)
{
	return READ_ONCE(buffer->revoked) || READ_ONCE(buffer->dvp->dma_off);
}

static void end_mapping(struct dvp_buffer *buffer)
{
	if (!atomic_dec_and_test(&buffer->dma_maps))
		return;
	/* Completes a revocation whose caller no longer waits. */
	dvp_events_revoked(buffer);
	wake_up_all(&buffer->dma_idle);
}

/*
 * Count a mapping before it is made, and then test.  If a call that keeps importers out
 * sees a count of 0, it has none to evict.  The first test is for an importer that tries
 * repeatedly: it must not be counted each time.
 */
static int begin_mapping(struct dma_buf_attachment *attachment,
			 struct dvp_buffer *buffer)
{
	if (!kept_out(buffer)) {
		atomic_inc(&buffer->dma_maps);
		/* Pairs with the one in evict(). */
		smp_mb__after_atomic();
		if (!kept_out(buffer)) {
			attachment->priv = NULL;
			return 0;
		}
		end_mapping(buffer);
	}
	attachment->priv = WAITING;
	return -ENODEV;
}

/**
 * dvp_importer_map() - give an importer DMA addresses
 * @attachment: let in by dvp_importer_attach(); its reservation is held
 * @direction: of the DMA; a device cannot write through a read-only buffer
 *
 * Return: the addresses; -ENODEV while the buffer is suspended or if it is
 * revoked; -EACCES; the error of dma_buf_phys_vec_to_sgt(), for instance
 * -EINVAL if no path between the devices is allowed; -ENOMEM.
 */
struct sg_table *dvp_importer_map(struct dma_buf_attachment *attachment,
				  enum dma_data_direction direction)
{
	struct dvp_buffer *buffer = attachment->dmabuf->priv;
	struct importer_map *map;
	int ret;

	dma_resv_assert_held(attachment->dmabuf->resv);

	if (buffer->read_only && direction != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);
	ret = begin_mapping(attachment, buffer);
	if (ret)
		return ERR_PTR(ret);

	map = kvzalloc(struct_size(map, parts, buffer->ranges.nr_runs),
		       GFP_KERNEL_ACCOUNT);
	if (!map) {
		ret = -ENOMEM;
		goto end_mapping;
	}

	ret = map_parts(attachment, map, direction);
	if (ret)
		goto free_map;

	ret = join_parts(map);
	if (ret)
		goto free_parts;

	return &map->sgt;

free_parts:
	free_parts(attachment, map, direction);
free_map:
	kvfree(map);
end_mapping:
	end_mapping(buffer);
	return ERR_PTR(ret);
}

/**
 * dvp_importer_unmap() - undo dvp_importer_map()
 * @attachment: the importer's; its reservation is held
 * @sgt: the addresses, no longer used by the importer's device
 * @direction: as mapped
 */
void dvp_importer_unmap(struct dma_buf_attachment *attachment,
			struct sg_table *sgt,
			enum dma_data_direction direction)
{
	struct importer_map *map = container_of(sgt, struct importer_map, sgt);
	struct dvp_buffer *buffer = attachment->dmabuf->priv;

	dma_resv_assert_held(attachment->dmabuf->resv);

	free_parts(attachment, map, direction);
	map->sgt.orig_nents = map->sgt.nents;
	sg_free_table(&map->sgt);
	kvfree(map);
	end_mapping(buffer);
}

/* With the DMABUF's reservation held. */
static void complain(struct dvp_buffer *buffer)
{
	struct dma_buf_attachment *attachment;

	list_for_each_entry(attachment, &buffer->dmabuf->attachments, node)
		pci_warn(buffer->dvp->core.pdev,
			 "a DMABUF of BAR %u is to be unmapped; waiting for its importers, one of which is %s\n",
			 buffer->bar, dev_name(attachment->dev));
}

static int lock_resv(struct dvp_buffer *buffer, enum dvp_patience patience)
{
	struct dma_resv *resv = buffer->dmabuf->resv;

	if (patience == DVP_UNTIL_A_SIGNAL)
		return dma_resv_lock_interruptible(resv, NULL) ? -ERESTARTSYS : 0;
	return dma_resv_lock(resv, NULL);
}

static int wait_for_unmapping(struct dvp_buffer *buffer,
			      enum dvp_patience patience)
{
	bool done;
	int ret;

	if (patience == DVP_UNTIL_A_SIGNAL) {
		ret = wait_event_interruptible_timeout(buffer->dma_idle,
						       !atomic_read(&buffer->dma_maps),
						       EVICT_PATIENCE);
		if (ret < 0)
			return ret;
		done = ret;
	} else {
		done = wait_event_timeout(buffer->dma_idle,
					  !atomic_read(&buffer->dma_maps),
					  EVICT_PATIENCE);
	}
	if (done)
		return 0;

	ret = lock_resv(buffer, patience);
	if (ret)
		return ret;
	complain(buffer);
	dma_resv_unlock(buffer->dmabuf->resv);

	switch (patience) {
	case DVP_UNTIL_A_SIGNAL:
		return wait_event_interruptible(buffer->dma_idle,
						!atomic_read(&buffer->dma_maps));
	case DVP_FOR_A_SECOND:
		return atomic_read(&buffer->dma_maps) ? -EBUSY : 0;
	case DVP_FOR_EVER:
		break;
	}
	wait_event(buffer->dma_idle, !atomic_read(&buffer->dma_maps));
	return 0;
}

/* Under the reservation: make all importers unmap. They can try to map again. */
static void invalidate(struct dvp_buffer *buffer)
{
	struct dma_buf_attachment *attachment;

	list_for_each_entry(attachment, &buffer->dmabuf->attachments, node)
		attachment->priv = WAITING;
	dvp_invalidate_mappings(buffer->dmabuf);
}

/*
 * Make importers unmap, and wait.  The caller holds a reference to the DMABUF,
 * and has set what keeps importers out.
 *
 * Clients can take the reservation's lock (poll() of the DMABUF does), and hold
 * it for as long as they do not run.  So it is taken only if something is
 * mapped, and never together with a lock that others wait for.
 *
 * The wait is for the unmapping, not for the fences of the DMABUF's
 * reservation: every process with the fd can add a fence that is never
 * signalled.  An importer unmaps when its device has finished, in bounded time,
 * as dvp_attach_revocable() requires.  If an importer does not, the call waits
 * all the same, because its device still reaches ours, and the log names it.
 *
 * Return: 1 if all were notified and have unmapped, 0 if nothing was mapped,
 * -ERESTARTSYS or -EBUSY (see enum dvp_patience).
 */
static int evict(struct dvp_buffer *buffer, enum dvp_patience patience)
{
	int ret;

	/* Pairs with the one in begin_mapping(). */
	smp_mb();
	if (!atomic_read(&buffer->dma_maps))
		return 0;

	ret = lock_resv(buffer, patience);
	if (ret)
		return ret;
	invalidate(buffer);
	dma_resv_unlock(buffer->dmabuf->resv);

	return wait_for_unmapping(buffer, patience) ?: 1;
}

/*
 * Notify importers by work, with a reference to the DMABUF held.  A client can hold
 * the reservation's lock for as long as it does not run, and nothing depends on
 * when importers are notified.
 */
static void notify_soon(struct dvp_buffer *buffer)
{
	get_dma_buf(buffer->dmabuf);
	refcount_inc(&buffer->refs);
	if (!queue_work(notice_queue, &buffer->notice)) {
		dma_buf_put(buffer->dmabuf);
		refcount_dec(&buffer->refs);
	}
}

/* Under the reservation. */
static void notify_waiting(struct dvp_buffer *buffer)
{
	struct dma_buf_attachment *attachment;

	list_for_each_entry(attachment, &buffer->dmabuf->attachments, node) {
		if (attachment->priv != WAITING)
			continue;
		attachment->priv = NULL;
		dvp_notify(attachment);
	}
}

/**
 * dvp_importers_notice() - notify importers that they have lost a buffer, or can map
 * @work: a buffer's notice, with a reference to the buffer and to its DMABUF
 *
 * There is one call for both: they unmap what they have, and try again.  One that
 * has mapped since the suspension ended keeps its mapping.
 */
void dvp_importers_notice(struct work_struct *work)
{
	struct dvp_buffer *buffer = container_of(work, struct dvp_buffer, notice);
	struct dma_buf *dmabuf = buffer->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	if (READ_ONCE(buffer->revoked))
		dvp_invalidate_mappings(dmabuf);
	else if (!READ_ONCE(buffer->dvp->dma_off))
		notify_waiting(buffer);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_put(dmabuf);
	dvp_buffer_put(buffer);
}

/**
 * dvp_importers_any() - whether a buffer has importers
 * @buffer: revoked, so that none is let in any more
 *
 * Return: whether there is one, with or without something mapped.
 */
bool dvp_importers_any(struct dvp_buffer *buffer)
{
	bool any;

	spin_lock(&buffer->dvp->buffers_lock);
	any = buffer->attached;
	spin_unlock(&buffer->dvp->buffers_lock);
	return any;
}

/**
 * dvp_importers_evict() - make all importers of a buffer unmap, and wait
 * @buffer: revoked
 * @patience: how long to wait
 *
 * Importers that have nothing mapped are notified soon. If a signal arrives first,
 * all are.
 *
 * Return: 0 if none is left, -ERESTARTSYS or -EBUSY (see enum dvp_patience).
 */
int dvp_importers_evict(struct dvp_buffer *buffer, enum dvp_patience patience)
{
	struct dvp_device *dvp = buffer->dvp;
	bool attached;
	int ret;

	spin_lock(&dvp->buffers_lock);
	attached = buffer->attached;
	if (attached)
		get_dma_buf(buffer->dmabuf);
	spin_unlock(&dvp->buffers_lock);
	if (!attached)
		return 0;

	ret = evict(buffer, patience);
	if (ret <= 0)
		notify_soon(buffer);
	dma_buf_put(buffer->dmabuf);
	return min(ret, 0);
}

/* The next buffer with importers, from @id on, with a reference to its DMABUF. */
static struct dvp_buffer *next_imported(struct dvp_device *dvp, u64 id)
{
	struct dvp_buffer *buffer = NULL;
	struct dvp_entry *entry;

	spin_lock(&dvp->buffers_lock);
	entry = dvp_index_from(&dvp->imported, id);
	if (entry) {
		buffer = container_of(entry, struct dvp_buffer, imported);
		get_dma_buf(buffer->dmabuf);
	}
	spin_unlock(&dvp->buffers_lock);
	return buffer;
}

/**
 * dvp_importers_evict_all() - make all importers of a device unmap, and wait
 * @dvp: the device, its dma_off set
 * @patience: how long to wait
 *
 * Return: as dvp_importers_evict(); after an error some are not notified yet.
 */
int dvp_importers_evict_all(struct dvp_device *dvp, enum dvp_patience patience)
{
	struct dvp_buffer *buffer;
	int ret = 0;
	u64 id = 0;

	while (ret >= 0 && (buffer = next_imported(dvp, id))) {
		/* Unlike the DMABUF, which can be released when it is put. */
		id = dvp_buffer_id(buffer) + 1;
		ret = evict(buffer, patience);
		dma_buf_put(buffer->dmabuf);
	}
	return min(ret, 0);
}

/**
 * dvp_importers_resume() - notify importers that they can map again
 * @dvp: the device, its dma_off clear
 */
void dvp_importers_resume(struct dvp_device *dvp)
{
	struct dvp_buffer *buffer;
	u64 id = 0;

	while ((buffer = next_imported(dvp, id))) {
		id = dvp_buffer_id(buffer) + 1;
		notify_soon(buffer);
		dma_buf_put(buffer->dmabuf);
	}
}

/**
 * dvp_importers_start() - to be called before there is a device
 *
 * Return: 0 or -ENOMEM.
 */
int dvp_importers_start(void)
{
	notice_queue = alloc_workqueue(DVP_DRIVER "-importers", WQ_UNBOUND, 0);
	return notice_queue ? 0 : -ENOMEM;
}

/**
 * dvp_importers_stop() - when no device and no buffer is left
 */
void dvp_importers_stop(void)
{
	destroy_workqueue(notice_queue);
}
