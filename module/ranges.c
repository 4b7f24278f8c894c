// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ranges of a buffer, as pure arithmetic: no locks, no device, no memory
 * of its own, so that the same file is built and tested in user space.
 */
#include "ranges.h"

#include <linux/align.h>
#include <linux/errno.h>
#include <linux/overflow.h>
#include <linux/vfio.h>
#include <uapi/linux/vfio_dmabuf.h>

/* One range as user space gave it: -EINVAL, -EOVERFLOW or 0. */
static int range_check(const struct vfio_region_dma_range *range, u64 bar_size)
{
	u64 end;

	if (!range->length || !IS_ALIGNED(range->offset, PAGE_SIZE) ||
	    !IS_ALIGNED(range->length, PAGE_SIZE))
		return -EINVAL;
	if (check_add_overflow(range->offset, range->length, &end))
		return -EOVERFLOW;
	if (end > bar_size)
		return -EINVAL;
	return 0;
}

/**
 * dvp_ranges_init() - check ranges and lay them out for dvp_ranges_find()
 * @ranges: filled in; undefined after an error
 * @runs: room for @nr runs, owned by the caller, used as long as @ranges is
 * @input: the ranges in the order of the buffer, in bytes of the BAR
 * @nr: number of ranges, at least 1
 * @bar_size: bytes of the BAR that can be mapped, a multiple of the page size
 *
 * Ranges that continue each other in the BAR become one run, so that a huge
 * page can span them.
 *
 * Return: 0; -EINVAL for no range, an empty or unaligned one, or one that ends
 * after the end of the BAR; -EOVERFLOW if an end or the sum of lengths
 * overflows, or the buffer, counted from the first range's offset, passes
 * VFIO_DMABUF_MAX_END.
 */
int dvp_ranges_init(struct dvp_ranges *ranges, struct dvp_run *runs,
		    const struct vfio_region_dma_range *input, u32 nr,
		    u64 bar_size)
{
	u64 size = 0, end, next_bar_page = 0;
	u32 i, n = 0;
	int ret;

	if (!nr)
		return -EINVAL;

	for (i = 0; i < nr; i++) {
		u64 bar_page = input[i].offset >> PAGE_SHIFT;

		ret = range_check(&input[i], bar_size);
		if (ret)
			return ret;

		if (!n || bar_page != next_bar_page) {
			runs[n].buf_page = size >> PAGE_SHIFT;
			runs[n].bar_page = bar_page;
			n++;
		}
		next_bar_page = bar_page + (input[i].length >> PAGE_SHIFT);

		if (check_add_overflow(size, input[i].length, &size))
			return -EOVERFLOW;
	}

	if (check_add_overflow(size, input[0].offset, &end) ||
	    end > VFIO_DMABUF_MAX_END)
		return -EOVERFLOW;

	ranges->nr_pages = size >> PAGE_SHIFT;
	ranges->nr_runs = n;
	ranges->runs = runs;
	return 0;
}

/**
 * dvp_ranges_find() - find the BAR page of a buffer page
 * @ranges: set up by dvp_ranges_init()
 * @buf_page: page of the buffer, counted from 0
 * @where: filled in if the buffer has that page
 *
 * Takes O(log n) steps for n runs.
 *
 * Return: whether the buffer has that page.
 */
bool dvp_ranges_find(const struct dvp_ranges *ranges, u64 buf_page,
		     struct dvp_where *where)
{
	u32 low = 0, high = ranges->nr_runs;

	if (buf_page >= ranges->nr_pages)
		return false;

	/* The run sought is at or above low and below high. */
	while (high - low > 1) {
		u32 middle = low + (high - low) / 2;

		if (ranges->runs[middle].buf_page <= buf_page)
			low = middle;
		else
			high = middle;
	}

	where->before = buf_page - ranges->runs[low].buf_page;
	where->after = dvp_ranges_run_pages(ranges, low) - where->before;
	where->bar_page = ranges->runs[low].bar_page + where->before;
	return true;
}
