// SPDX-License-Identifier: GPL-2.0-only
/*
 * Importers of a buffer: kernel drivers that map it for DMA by their device,
 * straight to this device's BAR (peer to peer).
 *
 * Only those are let in that can lose a mapping at any time: they must take
 * MMIO, and unmap in bounded time once dma_buf_invalidate_mappings() tells them
 * to.  Taking access away is then: set what dvp_importer_map() tests, evict,
 * and nobody is left.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include "compat.h"
#include "buffer.h"
#include "device.h"
#include "events.h"
#include "importers.h"

/* When an importer that does not unmap is named in the log. */
#define EVICT_PATIENCE	HZ

/* One importer's mapping of a whole buffer. */
struct importer_map {
	struct sg_table sgt;		/* what the importer gets: all parts in a row */
	u32 nr_parts;
	struct sg_table *parts[];	/* one for each run */
};

/**
 * dvp_importer_attach() - let an importer in, or not
 * @dmabuf: ours
 * @attachment: the importer's
 *
 * Return: 0; -ENODEV if the buffer is revoked; -EOPNOTSUPP if the importer
 * cannot take MMIO or cannot be revoked, or the kernel has no means for either.
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

	/* Either this sees revoked, or the one who has set it sees attached. */
	spin_lock(&dvp->buffers_lock);
	if (READ_ONCE(buffer->revoked))
		ret = -ENODEV;
	else if (!buffer->attached++)
		dvp_index_add(&dvp->imported, &buffer->imported);
	spin_unlock(&dvp->buffers_lock);
	return ret;
}

/**
 * dvp_importer_detach() - an importer has gone
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
		 * It comes with 0, for "no list of pages".  In Linux 7.3
		 * dma_buf_free_sgt() takes that for the number of entries to
		 * free, and loses them.
		 */
		part->orig_nents = part->nents;
		map->parts[map->nr_parts++] = part;
	}
	return 0;
}

/* String the parts' entries together. */
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

/**
 * dvp_importer_map() - give an importer DMA addresses
 * @attachment: let in by dvp_importer_attach(); its reservation is held
 * @direction: of the DMA; a device may not write through a read-only buffer
 *
 * Return: the addresses; -ENODEV while access is suspended or when it is
 * revoked; -EACCES; what dma_buf_phys_vec_to_sgt() returned, for instance
 * -EINVAL if no path between the devices is allowed; -ENOMEM.
 */
struct sg_table *dvp_importer_map(struct dma_buf_attachment *attachment,
				  enum dma_data_direction direction)
{
	struct dvp_buffer *buffer = attachment->dmabuf->priv;
	struct importer_map *map;
	int ret;

	dma_resv_assert_held(attachment->dmabuf->resv);

	/* Who sets one of these takes the reservation afterwards, to evict. */
	if (READ_ONCE(buffer->revoked) || READ_ONCE(buffer->dvp->dma_off))
		return ERR_PTR(-ENODEV);
	if (buffer->read_only && direction != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);

	map = kvzalloc(struct_size(map, parts, buffer->ranges.nr_runs),
		       GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);

	ret = map_parts(attachment, map, direction);
	if (ret)
		goto free_map;

	ret = join_parts(map);
	if (ret)
		goto free_parts;

	atomic_inc(&buffer->dma_maps);
	return &map->sgt;

free_parts:
	free_parts(attachment, map, direction);
free_map:
	kvfree(map);
	return ERR_PTR(ret);
}

/**
 * dvp_importer_unmap() - take back what dvp_importer_map() gave
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

	if (!atomic_dec_and_test(&buffer->dma_maps))
		return;
	/* Completes a revocation that nobody waits for any more. */
	dvp_events_revoked(buffer);
	wake_up_all(&buffer->dma_idle);
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

/*
 * Make importers unmap, and wait, with a reference to the DMABUF held.
 *
 * The wait is for the unmapping, not for the fences of the DMABUF's
 * reservation: a fence can be put there by anybody who has the fd, and need
 * never be signalled.  An importer unmaps when its device is through, in
 * bounded time, which is what dvp_attach_revocable() has asked for.  One that
 * does not keep to that is waited for all the same, since its device still
 * reaches ours, and is named in the log.
 *
 * Under the reservation no mapping is being made; whoever makes one later sees
 * what keeps importers out, which the caller has set.
 */
static int evict(struct dvp_buffer *buffer, bool notify,
		 enum dvp_patience patience)
{
	int ret = lock_resv(buffer, patience);

	if (ret)
		return ret;
	if (notify || atomic_read(&buffer->dma_maps))
		dvp_invalidate_mappings(buffer->dmabuf);
	dma_resv_unlock(buffer->dmabuf->resv);

	return wait_for_unmapping(buffer, patience);
}

/**
 * dvp_importers_evict() - make all importers of a buffer unmap, and wait
 * @buffer: revoked
 * @notify: also those that have nothing mapped
 * @patience: how long to wait
 *
 * The reservation's lock is one that clients can take (poll() of the DMABUF
 * does), and hold for as long as they are not run.  So it is taken only where
 * there are importers, and never together with a lock that others wait for.
 *
 * Return: 0 if none is left, -ERESTARTSYS or -EBUSY (see enum dvp_patience).
 */
int dvp_importers_evict(struct dvp_buffer *buffer, bool notify,
			enum dvp_patience patience)
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

	ret = evict(buffer, notify, patience);
	if (ret) {
		/* The work has references of its own, unless it is queued already. */
		get_dma_buf(buffer->dmabuf);
		refcount_inc(&buffer->refs);
		if (!dvp_events_queue(&buffer->notify)) {
			dma_buf_put(buffer->dmabuf);
			refcount_dec(&buffer->refs);
		}
	}
	dma_buf_put(buffer->dmabuf);
	return ret;
}

/**
 * dvp_importers_notify_work() - make importers unmap, without waiting
 * @work: a buffer's notify, with a reference to the buffer and to its DMABUF
 *
 * A signal can end a call that revokes before it has had the reservation's lock, so
 * that importers do not know yet.  If none has anything mapped, none will unmap, and
 * the revocation is complete.
 */
void dvp_importers_notify_work(struct work_struct *work)
{
	struct dvp_buffer *buffer = container_of(work, struct dvp_buffer, notify);
	struct dma_buf *dmabuf = buffer->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	dvp_invalidate_mappings(dmabuf);
	dvp_events_revoked(buffer);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_put(dmabuf);
	dvp_buffer_put(buffer);
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
 * @notify: also those that have nothing mapped
 * @patience: how long to wait
 *
 * Return: as dvp_importers_evict(); after an error some may not even know.
 */
int dvp_importers_evict_all(struct dvp_device *dvp, bool notify,
			    enum dvp_patience patience)
{
	struct dvp_buffer *buffer;
	int ret = 0;
	u64 id = 0;

	while (!ret && (buffer = next_imported(dvp, id))) {
		/* Unlike the DMABUF, which may be gone when it is put. */
		id = dvp_buffer_id(buffer) + 1;
		ret = evict(buffer, notify, patience);
		dma_buf_put(buffer->dmabuf);
	}
	return ret;
}

/**
 * dvp_importers_notify_all() - notify importers that they may map again
 * @dvp: the device
 *
 * There is but one call for this and for eviction: they have nothing mapped now,
 * and try.
 */
void dvp_importers_notify_all(struct dvp_device *dvp)
{
	struct dvp_buffer *buffer;
	u64 id = 0;

	while ((buffer = next_imported(dvp, id))) {
		id = dvp_buffer_id(buffer) + 1;
		dma_resv_lock(buffer->dmabuf->resv, NULL);
		dvp_invalidate_mappings(buffer->dmabuf);
		dma_resv_unlock(buffer->dmabuf->resv);
		dma_buf_put(buffer->dmabuf);
	}
}
