/* SPDX-License-Identifier: MIT */
/*
 * The memory that is lent with a queue pair.  The owner writes a description at its start,
 * which the client checks.  The owner never reads the memory: the client can write to it.
 *
 *	description	one page
 *	SQ, CQ		in whole pages; the SQ can be in the controller's memory buffer instead
 *	PRP lists	in whole pages, see below
 *	data		up to the end
 *
 * PRP lists: the data is contiguous for the controller, so the list of a transfer is a part
 * of the list of all pages of the data, and can be made once.  A list must not cross a page.
 * So page n of the lists has the entries for the data's pages 256 * n to 256 * n + 511, and
 * each list of up to 256 entries is found in one page.  The client makes them.
 */
#ifndef NVME_LAYOUT_H
#define NVME_LAYOUT_H

#include <assert.h>
#include <stdint.h>

#include "spec.h"

#define NVME_LAYOUT_MAGIC	0x30712d656d766e76ULL	/* "vnvme-q0" */
#define NVME_LAYOUT_VERSION	1
#define NVME_MAX_NAMESPACES	32

#define NVME_LIST_STEP		256u	/* pages of the data between two pages of lists */
#define NVME_LIST_ENTRIES	512u	/* of a page of lists */
/* 4.1.1: a transfer of n pages that begins inside a page needs n entries. */
#define NVME_MAX_TRANSFER	(NVME_LIST_STEP * NVME_PAGE)

#define NVME_LAYOUT_CMB		(1u << 0)	/* the SQ is at sq in BAR sq_bar */
#define NVME_LAYOUT_INTERRUPT	(1u << 1)

struct nvme_layout_namespace {
	uint32_t id;
	uint32_t block_shift;
	uint64_t blocks;
};

/* Offsets are from the start of the memory. */
struct nvme_layout {
	uint64_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t qid;
	uint32_t entries;	/* of SQ and CQ each */
	uint64_t sq_doorbell;	/* in BAR 0 */
	uint64_t cq_doorbell;
	uint64_t sq;
	uint32_t sq_bar;
	uint32_t nr_namespaces;
	uint64_t cq;
	uint64_t lists;
	uint64_t data;
	uint64_t data_size;
	uint64_t max_transfer;
	struct nvme_layout_namespace namespaces[NVME_MAX_NAMESPACES];

	/* The owner writes this when the controller does not use the memory any more. */
	uint32_t ended __attribute__((aligned(64)));
	/* The client writes this: it cannot be opened twice. */
	uint32_t opened __attribute__((aligned(64)));
};
static_assert(sizeof(struct nvme_layout) <= NVME_PAGE, "the description");

#endif
