/* SPDX-License-Identifier: MIT */
/* What the files of the owner's part share. */
#ifndef NVME_INTERNAL_H
#define NVME_INTERNAL_H

#include "layout.h"
#include "nvme.h"

#define NVME_MAX_QUEUES		128u	/* pairs that this driver keeps account of */
#define NVME_ADMIN_ENTRIES	64u	/* a page of commands */

/* Where the controller has its memory buffer: above all addresses that an IOMMU translates. */
#define NVME_CMB_ADDRESS	(1ULL << 60)

#define NVME_STATE_MAGIC	0x31302d656d766e76ULL	/* "vnvme-01" */

/* Which of a pair exists. */
#define NVME_HAS_CQ		(1u << 0)
#define NVME_HAS_SQ		(1u << 1)

/*
 * The memory of nvme_fd() is mapped for the controller in two parts.  The controller can only
 * read the first one, which has this state and the admin submission queue.  Clients choose what
 * the controller writes to, but they cannot make it write there, so they cannot send admin
 * commands.  The second part has the admin completion queue and a page for replies.
 *
 * Each change of the state is one
 * store, in an order that lets another process continue after any of them:
 *	1. the command is written into the SQ
 *	2. submitted is incremented
 *	3. the doorbell is rung; the controller carries the command out
 *	4. the table of queues is updated
 *	5. completed is incremented
 *	6. the doorbell of the CQ is rung
 * Only one command is outstanding at a time.
 */
struct nvme_state {
	uint64_t magic;
	uint32_t ready;			/* 0 while the controller is started or stopped */
	uint32_t submitted;		/* commands; their places follow from these numbers */
	uint32_t completed;
	uint32_t entries_seen;		/* completions taken, also of commands that are not ours */
	uint64_t commands_iova;
	uint64_t replies_iova;
	uint64_t cap;
	uint64_t max_transfer;
	uint32_t max_queues;
	uint32_t vectors;
	struct nvme_cmb cmb;		/* size 0: none */
	uint32_t nr_namespaces;
	struct nvme_layout_namespace namespaces[NVME_MAX_NAMESPACES];
	uint8_t queues[NVME_MAX_QUEUES];	/* NVME_HAS_*, by qid - 1 */
	uint64_t tags[NVME_MAX_QUEUES];		/* of those that exist; set before they are made */
};
static_assert(sizeof(struct nvme_state) <= NVME_PAGE, "the state");

struct nvme {
	const struct vdb_device *device;
	struct vdb_dma *dma;
	uint64_t registers;		/* offset of BAR 0 in the device fd */
	uint64_t registers_size;
	int fd;				/* of the memory; -1: none */
	uint64_t commands_iova;		/* of the two parts; 0: not mapped, as IOVAs never are 0 */
	uint64_t replies_iova;
	struct nvme_state *state;
	struct nvme_command *commands;	/* the admin queues */
	struct nvme_entry *entries;
	const void *reply;
	char error[VDB_ERROR_SIZE];
};

/* As snprintf() into nvme->error; sets errno.  -1. */
__attribute__((format(printf, 3, 4)))
int nvme_failed(struct nvme *nvme, int number, const char *format, ...);

/*
 * Registers are accessed through the device fd, not through a mapping: there is no SIGBUS,
 * and it is not on the path of I/O.
 */
int nvme_read32(struct nvme *nvme, uint64_t offset, uint32_t *value);
int nvme_read64(struct nvme *nvme, uint64_t offset, uint64_t *value);
int nvme_write32(struct nvme *nvme, uint64_t offset, uint32_t value);
int nvme_write64(struct nvme *nvme, uint64_t offset, uint64_t value);

/* Waits until (CSTS & @mask) == @want. */
int nvme_wait_status(struct nvme *nvme, uint32_t mask, uint32_t want, unsigned int milliseconds);

/*
 * Carries an admin command out.  0; the controller's Status field, which is positive; or -1.
 * @result: dword 0 of the completion; NULL: not wanted.
 */
int nvme_admin(struct nvme *nvme, struct nvme_command *command, uint32_t *result);
/* Finishes a command that another process has submitted. */
int nvme_admin_finish(struct nvme *nvme);

/* An eventfd for an interrupt; -1: none. */
int nvme_set_interrupt(struct nvme *nvme, unsigned int vector, int eventfd);

#endif
