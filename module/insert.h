/* SPDX-License-Identifier: GPL-2.0-only */
/* Putting PFNs of a BAR into page tables, with the memory type that was asked for. */
#ifndef _DVP_INSERT_H
#define _DVP_INSERT_H

#include <linux/mm.h>
#include "access.h"

/* What one fault makes present: @nr pages of PAGE_SIZE << @order. */
struct dvp_fill {
	unsigned long addr;
	unsigned long pfn;
	unsigned long nr;
	unsigned int order;
	bool beside_huge;	/* order 0, where a huge page would fit */
};

vm_fault_t dvp_insert(struct vm_fault *vmf, const struct dvp_fill *fill,
		      enum dvp_access *access);

#endif
