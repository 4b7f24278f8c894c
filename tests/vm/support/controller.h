/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller: its registers and its queues.  Nothing here fails a test, so a
 * client can use it as well, with what it was lent.
 */
#ifndef TESTS_CONTROLLER_H
#define TESTS_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#define NVME_CAP	0x0	/* 64 bits; the stride of doorbells is 4 << bits 32 to 35 */
#define NVME_CC		0x14
#define NVME_CSTS	0x1c
#define NVME_AQA	0x24
#define NVME_ASQ	0x28
#define NVME_ACQ	0x30
#define NVME_DOORBELLS	0x1000
/* From the first doorbell, with the stride that QEMU has. */
#define NVME_SQ_TAIL(queue)	(8 * (queue))
#define NVME_CQ_HEAD(queue)	(8 * (queue) + 4)

#define NVME_CSTS_READY		1
#define NVME_CSTS_FATAL		2

#define NVME_CREATE_SQ	0x1
#define NVME_DELETE_SQ	0x0
#define NVME_CREATE_CQ	0x5
#define NVME_IDENTIFY	0x6
#define NVME_WRITE	0x1
#define NVME_READ	0x2

#define NVME_QUEUE_LENGTH	16
#define NVME_PAGE_BLOCKS	8	/* blocks of a page of data */

struct nvme_completion {
	uint32_t result, reserved;
	uint16_t head, queue, id, status;	/* bit 0 of status is the phase */
};

/* As the host sees it; all pointers are of the process that uses it. */
struct nvme_queue {
	uint32_t *commands;
	const volatile struct nvme_completion *completions;
	char *doorbells;	/* of queue 0 */
	unsigned int id, tail, head, phase;
};

/* A queue whose memory is zero, and which the controller does not know yet. */
void nvme_queue_init(struct nvme_queue *queue, unsigned int id, void *commands, const void *completions,
		     void *doorbells);
/* Starts a controller with its admin queues at these IOVAs. */
void controller_start(void *registers, uint64_t sq, uint64_t cq);

/* An entry of a queue: memory at @iova, in whole pages; words 10 to 12. */
void nvme_fill(uint32_t *entry, unsigned int opcode, unsigned int id, uint64_t iova, uint32_t word10,
	       uint32_t word11, uint32_t word12);
/* The entry to be filled in next, to be submitted with nvme_ring(). */
uint32_t *nvme_next(struct nvme_queue *queue);
void nvme_ring(struct nvme_queue *queue);
/* The next completion if there is one, without giving its place back. */
bool nvme_peek(const struct nvme_queue *queue, struct nvme_completion *completion);
/* Waits for the next completion, at most a minute.  Its status, or -1. */
int nvme_wait(struct nvme_queue *queue, struct nvme_completion *completion);

/* Each submits a command and waits for it: its status, 0 for success; or -1. */
int nvme_identify(struct nvme_queue *admin, uint64_t iova);
int nvme_create(struct nvme_queue *admin, unsigned int id, uint64_t sq, uint64_t cq);
int nvme_delete_sq(struct nvme_queue *admin, unsigned int id);
/* A page of data, from block @block on. */
int nvme_io(struct nvme_queue *queue, unsigned int opcode, uint64_t block, uint64_t iova);

#endif
