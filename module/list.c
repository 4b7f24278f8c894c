// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of a device's buffers, for its owner.
 *
 * Buffers are found by id, so that the list can be read in pieces while buffers
 * are exported and released.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "buffer.h"
#include "device.h"
#include "events.h"
#include "list.h"

/* Elements that are collected each time the lock of the index is held. */
#define CHUNK	32

/* With buffers_lock held. */
static void describe(struct dvp_buffer *buffer, struct vfio_dmabuf_buffer *to)
{
	*to = (struct vfio_dmabuf_buffer) {
		.id = dvp_buffer_id(buffer),
		.inode = buffer->inode,
		.size = buffer->ranges.nr_pages << PAGE_SHIFT,
		.offset = buffer->ranges.runs[0].bar_page << PAGE_SHIFT,
		.region_index = buffer->bar,
		.nr_ranges = buffer->ranges.nr_runs,
		.memattr = buffer->memattr,
		.state = dvp_events_state(buffer),
		.mappings = atomic_read(&buffer->mappings),
		.importers = buffer->attached,
		.dma_maps = atomic_read(&buffer->dma_maps),
	};
	if (buffer->read_only)
		to->flags |= VFIO_DMABUF_BUFFER_READ_ONLY;
	if (!dvp_buffer_is_slice(buffer))
		to->flags |= VFIO_DMABUF_BUFFER_BAR_MAPPING;
}

static u32 collect(struct dvp_device *dvp, u64 *id,
		   struct vfio_dmabuf_buffer *chunk, u32 room)
{
	struct dvp_buffer *buffer;
	u32 nr;

	spin_lock(&dvp->buffers_lock);
	for (nr = 0; nr < room; nr++) {
		buffer = dvp_buffer_from(dvp, *id);
		if (!buffer)
			break;
		describe(buffer, &chunk[nr]);
		*id = dvp_buffer_id(buffer) + 1;
	}
	spin_unlock(&dvp->buffers_lock);
	return nr;
}

/**
 * dvp_list() - VFIO_DMABUF_FEATURE_LIST
 * @dvp: the device
 * @request: as user space gave it; its nr is set
 *
 * Return: 0, -EINVAL, -EFAULT or -ENOMEM.
 */
int dvp_list(struct dvp_device *dvp, struct vfio_dmabuf_feature_list *request)
{
	struct vfio_dmabuf_buffer __user *to = u64_to_user_ptr(request->buffers);
	struct vfio_dmabuf_buffer *chunk;
	u64 id = request->after + 1;
	u32 nr, room, done = 0;
	int ret = 0;

	if (!request->nr || request->size != sizeof(*chunk))
		return -EINVAL;

	chunk = kcalloc(CHUNK, sizeof(*chunk), GFP_KERNEL);
	if (!chunk)
		return -ENOMEM;

	/* No id is that great. */
	while (id && done < request->nr) {
		room = min_t(u32, request->nr - done, CHUNK);
		nr = collect(dvp, &id, chunk, room);
		if (copy_to_user(to + done, chunk, nr * sizeof(*chunk))) {
			ret = -EFAULT;
			break;
		}
		done += nr;
		if (nr < room)
			break;
		cond_resched();
	}
	kfree(chunk);
	request->nr = done;
	return ret;
}

/**
 * dvp_info() - VFIO_DMABUF_FEATURE_INFO
 * @buffer: that the request names
 * @request: as user space gave it; its nr_ranges and buffer are set
 *
 * Return: 0 or -EFAULT.
 */
int dvp_info(struct dvp_buffer *buffer, struct vfio_dmabuf_feature_info *request)
{
	struct vfio_region_dma_range __user *to = u64_to_user_ptr(request->ranges);
	const struct dvp_ranges *ranges = &buffer->ranges;
	struct vfio_region_dma_range range;
	u64 first = min_t(u64, request->first_range, ranges->nr_runs);
	u32 i, nr = min_t(u64, request->nr_ranges, ranges->nr_runs - first);

	for (i = 0; i < nr; i++) {
		range.offset = ranges->runs[first + i].bar_page << PAGE_SHIFT;
		range.length = dvp_ranges_run_pages(ranges, first + i)
			       << PAGE_SHIFT;
		if (copy_to_user(to + i, &range, sizeof(range)))
			return -EFAULT;
	}
	request->nr_ranges = nr;

	spin_lock(&buffer->dvp->buffers_lock);
	describe(buffer, &request->buffer);
	spin_unlock(&buffer->dvp->buffers_lock);
	return 0;
}
