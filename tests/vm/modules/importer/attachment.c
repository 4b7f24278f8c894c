// SPDX-License-Identifier: GPL-2.0-only
/*
 * A correct importer's attachment: when it is notified, it unmaps after its engine has
 * finished.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/eventfd.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include "../compat.h"
#include "attachment.h"
#include "engine.h"

IMPORT_NS(DMA_BUF);

static void wait_for_engine(struct attachment *a)
{
	mutex_lock(&a->engine->lock);
	engine_wait(a->engine);
	mutex_unlock(&a->engine->lock);
}

/* The mapping, after the engine has finished. */
static void unmap(struct attachment *a)
{
	dma_resv_assert_held(a->dmabuf->resv);

	dma_buf_unmap_attachment(a->attach, a->sgt, a->direction);
	a->sgt = NULL;
}

/* The present state of the exporter's device. The test knows the expected value. */
static void look_at_exporter(struct attachment *a)
{
	u16 value = 0;

	pci_read_config_word(a->exporter, PCI_COMMAND, &value);
	a->status.command = value;
	value = 0;
	if (a->exporter->pm_cap)
		pci_read_config_word(a->exporter,
				     a->exporter->pm_cap + PCI_PM_CTRL, &value);
	a->status.power = value & PCI_PM_CTRL_STATE_MASK;
	a->status.value = readl(a->value);
}

/* Without claiming it: the exporter has done that. */
static int find_exporter(struct attachment *a,
			 const struct importer_attach *request)
{
	a->exporter = pci_get_domain_bus_and_slot(0, request->exporter >> 8,
						  request->exporter & 0xff);
	if (!a->exporter || request->bar >= PCI_STD_NUM_BARS ||
	    request->offset >= pci_resource_len(a->exporter, request->bar))
		return -ENODEV;
	a->value = ioremap(pci_resource_start(a->exporter, request->bar) +
			   request->offset, sizeof(u32));
	return a->value ? 0 : -ENOMEM;
}

static void forget_exporter(struct attachment *a)
{
	if (a->value)
		iounmap(a->value);
	pci_dev_put(a->exporter);
}

static void evict(struct attachment *a)
{
	/* A late importer can have unmapped meanwhile. */
	if (!a->sgt)
		return;
	a->status.evicted++;
	wait_for_engine(a);
	look_at_exporter(a);
	unmap(a);
}

static void evict_late(struct work_struct *work)
{
	struct attachment *a = container_of(work, struct attachment, eviction);

	dma_resv_lock(a->dmabuf->resv, NULL);
	evict(a);
	dma_resv_unlock(a->dmabuf->resv);
}

static void invalidate(struct dma_buf_attachment *attach)
{
	struct attachment *a = attach->importer_priv;

	a->status.notified++;
	if (a->flags & IMPORTER_LAZY)
		return;
	if (a->flags & IMPORTER_LATE)
		schedule_work(&a->eviction);
	else
		evict(a);
}

static const struct dma_buf_attach_ops revocable = {
	.allow_peer2peer = true,
	.invalidate_mappings = invalidate,
};

static const struct dma_buf_attach_ops no_peer2peer = {
	.invalidate_mappings = invalidate,
};

static const struct dma_buf_attach_ops no_invalidate = {
	.allow_peer2peer = true,
};

static const struct dma_buf_attach_ops *ops_for(u32 flags)
{
	if (flags & IMPORTER_STATIC)
		return NULL;
	if (flags & IMPORTER_NO_PEER2PEER)
		return &no_peer2peer;
	return flags & IMPORTER_NO_INVALIDATE ? &no_invalidate : &revocable;
}

struct attachment *attachment_new(struct engine *engine, struct device *dev,
				  const struct importer_attach *request)
{
	struct attachment *a = kzalloc(sizeof(*a), GFP_KERNEL);
	int ret;

	if (!a)
		return ERR_PTR(-ENOMEM);
	a->engine = engine;
	a->flags = request->flags;
	INIT_WORK(&a->eviction, evict_late);
	ret = find_exporter(a, request);
	if (ret)
		goto forget_exporter;

	a->dmabuf = dma_buf_get(request->dmabuf_fd);
	if (IS_ERR(a->dmabuf)) {
		ret = PTR_ERR(a->dmabuf);
		goto forget_exporter;
	}

	a->attach = dma_buf_dynamic_attach(a->dmabuf, dev,
					   ops_for(request->flags), a);
	if (IS_ERR(a->attach)) {
		ret = PTR_ERR(a->attach);
		goto put;
	}
	return a;

put:
	dma_buf_put(a->dmabuf);
forget_exporter:
	forget_exporter(a);
	kfree(a);
	return ERR_PTR(ret);
}

void attachment_free(struct attachment *a)
{
	attachment_unmap(a);
	flush_work(&a->eviction);
	dma_buf_detach(a->dmabuf, a->attach);
	dma_buf_put(a->dmabuf);
	forget_exporter(a);
	kfree(a);
}

static const enum dma_data_direction directions[] = {
	[IMPORTER_BOTH] = DMA_BIDIRECTIONAL,
	[IMPORTER_READS] = DMA_TO_DEVICE,
	[IMPORTER_WRITES] = DMA_FROM_DEVICE,
};

/* With the reservation held. */
static int map(struct attachment *a, u32 direction)
{
	struct sg_table *sgt;

	if (a->sgt)
		return -EBUSY;
	sgt = dma_buf_map_attachment(a->attach, directions[direction]);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	a->sgt = sgt;
	a->direction = directions[direction];
	return 0;
}

int attachment_map(struct attachment *a, u32 direction)
{
	int ret;

	if (direction >= ARRAY_SIZE(directions))
		return -EINVAL;

	dma_resv_lock(a->dmabuf->resv, NULL);
	ret = map(a, direction);
	dma_resv_unlock(a->dmabuf->resv);
	return ret;
}

int attachment_unmap(struct attachment *a)
{
	int ret = -ENXIO;

	dma_resv_lock(a->dmabuf->resv, NULL);
	if (a->sgt) {
		wait_for_engine(a);
		unmap(a);
		ret = 0;
	}
	dma_resv_unlock(a->dmabuf->resv);
	return ret;
}

/* The entry with byte @offset, which becomes the one in the entry. */
static struct scatterlist *find_entry(struct attachment *a, u64 *offset)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(a->sgt, sg, i) {
		if (*offset < sg_dma_len(sg))
			return sg;
		*offset -= sg_dma_len(sg);
	}
	return NULL;
}

int attachment_start(struct attachment *a, const struct importer_start *start)
{
	u64 offset = start->offset;
	struct scatterlist *sg;
	int ret = -ENXIO;

	dma_resv_lock(a->dmabuf->resv, NULL);
	mutex_lock(&a->engine->lock);
	if (a->sgt) {
		sg = find_entry(a, &offset);
		ret = -EINVAL;
		if (sg && start->length <= sg_dma_len(sg) - offset)
			ret = engine_start(a->engine,
					   sg_dma_address(sg) + offset, 0,
					   start->length, start->writes);
	}
	mutex_unlock(&a->engine->lock);
	dma_resv_unlock(a->dmabuf->resv);
	return ret;
}

/* Between the DMABUF and the engine's memory, entry by entry. */
static int copy_entries(struct attachment *a, u64 offset, u32 length,
			bool writes)
{
	struct scatterlist *sg = find_entry(a, &offset);
	u32 done = 0, n;
	int ret;

	for (; done < length; done += n, offset = 0, sg = sg_next(sg)) {
		if (!sg || !sg_dma_len(sg))
			return -EINVAL;
		n = min_t(u64, length - done, sg_dma_len(sg) - offset);
		ret = engine_run(a->engine, sg_dma_address(sg) + offset, done,
				 n, writes);
		if (ret)
			return ret;
	}
	return 0;
}

/* Let the device write @data to the DMABUF, or read @data from there. */
int attachment_copy(struct attachment *a, u64 offset, void *data, u32 length,
		    bool writes)
{
	struct engine *engine = a->engine;
	int ret = -ENXIO;

	dma_resv_lock(a->dmabuf->resv, NULL);
	mutex_lock(&engine->lock);
	if (!a->sgt)
		goto unlock;

	if (writes) {
		memcpy(engine->page, data, length);
		ret = engine_run(engine, engine->page_dma, 0, length, false) ?:
		      copy_entries(a, offset, length, true);
	} else {
		ret = copy_entries(a, offset, length, false) ?:
		      engine_run(engine, engine->page_dma, 0, length, true);
		memcpy(data, engine->page, length);
	}
unlock:
	mutex_unlock(&engine->lock);
	dma_resv_unlock(a->dmabuf->resv);
	return ret;
}

/* Like a client that does not run in the middle of poll(). */
void attachment_hold(struct attachment *a, struct eventfd_ctx *held, bool then_map)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(signal);

	dma_resv_lock(a->dmabuf->resv, NULL);
	eventfd_signal(held);
	wait_event_interruptible(signal, false);
	if (then_map)
		map(a, IMPORTER_BOTH);
	dma_resv_unlock(a->dmabuf->resv);
}

void attachment_status(struct attachment *a, struct importer_status *status)
{
	dma_resv_lock(a->dmabuf->resv, NULL);
	*status = a->status;
	status->mapped = !!a->sgt;
	status->entries = a->sgt ? a->sgt->nents : 0;
	dma_resv_unlock(a->dmabuf->resv);
}
