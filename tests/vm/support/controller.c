// SPDX-License-Identifier: MIT
/* An NVMe controller: its registers and its queues. */
#include "controller.h"

#include <string.h>
#include <time.h>
#include <vfio-dmabuf.h>

#define WORDS	16	/* of an entry */

/* Polls: the controller reports in no other way here. */
static void wait_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

void nvme_queue_init(struct nvme_queue *queue, unsigned int id, void *commands, const void *completions,
		     void *doorbells)
{
	*queue = (struct nvme_queue){
		.commands = commands,
		.completions = completions,
		.doorbells = doorbells,
		.id = id,
		.phase = 1,
	};
}

void controller_start(void *registers, uint64_t sq, uint64_t cq)
{
	char *at = registers;

	vdb_write32(at + NVME_AQA, (NVME_QUEUE_LENGTH - 1) << 16 | (NVME_QUEUE_LENGTH - 1));
	vdb_write64(at + NVME_ASQ, sq);
	vdb_write64(at + NVME_ACQ, cq);
	vdb_write32(at + NVME_CC, 1 | 6 << 16 | 4 << 20);
	while (!(vdb_read32(at + NVME_CSTS) & NVME_CSTS_READY))
		wait_a_little();
}

void nvme_fill(uint32_t *entry, unsigned int opcode, unsigned int id, uint64_t iova, uint32_t word10,
	       uint32_t word11, uint32_t word12)
{
	memset(entry, 0, WORDS * sizeof(*entry));
	entry[0] = opcode | id << 16;
	entry[6] = (uint32_t)iova;
	entry[7] = (uint32_t)(iova >> 32);
	entry[10] = word10;
	entry[11] = word11;
	entry[12] = word12;
}

uint32_t *nvme_next(struct nvme_queue *queue)
{
	uint32_t *entry = queue->commands + queue->tail * WORDS;

	queue->tail = (queue->tail + 1) % NVME_QUEUE_LENGTH;
	return entry;
}

void nvme_ring(struct nvme_queue *queue)
{
	vdb_write32(queue->doorbells + NVME_SQ_TAIL(queue->id), queue->tail);
}

bool nvme_peek(const struct nvme_queue *queue, struct nvme_completion *completion)
{
	const volatile struct nvme_completion *at = &queue->completions[queue->head];

	if ((at->status & 1) != queue->phase)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*completion = *at;
	return true;
}

int nvme_wait(struct nvme_queue *queue, struct nvme_completion *completion)
{
	for (int tries = 0; !nvme_peek(queue, completion); tries++) {
		if (tries == 60000)
			return -1;
		wait_a_little();
	}
	queue->head = (queue->head + 1) % NVME_QUEUE_LENGTH;
	queue->phase ^= !queue->head;
	vdb_write32(queue->doorbells + NVME_CQ_HEAD(queue->id), queue->head);
	return completion->status >> 1;
}

static int run(struct nvme_queue *queue)
{
	struct nvme_completion completion;

	nvme_ring(queue);
	return nvme_wait(queue, &completion);
}

int nvme_identify(struct nvme_queue *admin, uint64_t iova)
{
	nvme_fill(nvme_next(admin), NVME_IDENTIFY, 1, iova, 1, 0, 0);
	return run(admin);
}

int nvme_create(struct nvme_queue *admin, unsigned int id, uint64_t sq, uint64_t cq)
{
	const uint32_t size = (NVME_QUEUE_LENGTH - 1) << 16;
	int status;

	nvme_fill(nvme_next(admin), NVME_CREATE_CQ, 2, cq, size | id, 1, 0);
	status = run(admin);
	if (status)
		return status;
	nvme_fill(nvme_next(admin), NVME_CREATE_SQ, 3, sq, size | id, id << 16 | 1, 0);
	return run(admin);
}

int nvme_delete_sq(struct nvme_queue *admin, unsigned int id)
{
	nvme_fill(nvme_next(admin), NVME_DELETE_SQ, 4, 0, id, 0, 0);
	return run(admin);
}

int nvme_io(struct nvme_queue *queue, unsigned int opcode, uint64_t block, uint64_t iova)
{
	uint32_t *entry = nvme_next(queue);

	nvme_fill(entry, opcode, 1, iova, (uint32_t)block, (uint32_t)(block >> 32), NVME_PAGE_BLOCKS - 1);
	entry[1] = 1;
	return run(queue);
}
