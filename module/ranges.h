/* SPDX-License-Identifier: GPL-2.0-only */
/* The ranges of a buffer: checking them, and finding the BAR page of a buffer page. */
#ifndef _DVP_RANGES_H
#define _DVP_RANGES_H

#include <linux/types.h>

struct vfio_region_dma_range;

/* A run of pages that are neighbours in the buffer and in the BAR. */
struct dvp_run {
	u64 buf_page;	/* first page of the run in the buffer */
	u64 bar_page;	/* the same page in the BAR */
};

/*
 * The runs in the order of the buffer, which they cover without gaps: run i
 * ends where run i + 1 starts, the last one at nr_pages.
 */
struct dvp_ranges {
	u64 nr_pages;
	u32 nr_runs;
	struct dvp_run *runs;
};

/* Where a buffer page lies, and how far its run extends. */
struct dvp_where {
	u64 bar_page;	/* of the page asked for, in the BAR */
	u64 before;	/* pages of the same run in front of it */
	u64 after;	/* pages of the same run from it on, itself included */
};

int dvp_ranges_init(struct dvp_ranges *ranges, struct dvp_run *runs,
		    const struct vfio_region_dma_range *input, u32 nr,
		    u64 bar_size);

/* Pages of run @i. */
static inline u64 dvp_ranges_run_pages(const struct dvp_ranges *ranges, u32 i)
{
	u64 end = i + 1 < ranges->nr_runs ? ranges->runs[i + 1].buf_page :
					    ranges->nr_pages;

	return end - ranges->runs[i].buf_page;
}

bool dvp_ranges_find(const struct dvp_ranges *ranges, u64 buf_page,
		     struct dvp_where *where);

#endif
