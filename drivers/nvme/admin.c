// SPDX-License-Identifier: MIT
/* Registers, and the admin queue, with which another process can continue. */
#include <errno.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* The kernel's nvme driver allows as much. */
#define ADMIN_MS	60000
/* How long another process's command is waited for before its doorbell is rung (once more). */
#define AGAIN_MS	100

int nvme_failed(struct nvme *nvme, int number, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(nvme->error, sizeof(nvme->error), format, args);
	va_end(args);
	errno = number;
	return -1;
}

static int access_failed(struct nvme *nvme, uint64_t offset)
{
	return nvme_failed(nvme, ENODEV, "register 0x%llx of the controller cannot be accessed: %s",
			   (unsigned long long)offset, strerror(errno));
}

int nvme_read32(struct nvme *nvme, uint64_t offset, uint32_t *value)
{
	if (pread(vdb_device_fd(nvme->device), value, sizeof(*value), nvme->registers + offset) == sizeof(*value))
		return 0;
	return access_failed(nvme, offset);
}

/* 3.1: a property of 8 bytes can be accessed in two halves. */
int nvme_read64(struct nvme *nvme, uint64_t offset, uint64_t *value)
{
	uint32_t low, high;

	if (nvme_read32(nvme, offset, &low) || nvme_read32(nvme, offset + 4, &high))
		return -1;
	*value = (uint64_t)high << 32 | low;
	return 0;
}

int nvme_write32(struct nvme *nvme, uint64_t offset, uint32_t value)
{
	/* Memory that the controller will read is written before. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (pwrite(vdb_device_fd(nvme->device), &value, sizeof(value), nvme->registers + offset) == sizeof(value))
		return 0;
	return access_failed(nvme, offset);
}

int nvme_write64(struct nvme *nvme, uint64_t offset, uint64_t value)
{
	return nvme_write32(nvme, offset, (uint32_t)value) ?: nvme_write32(nvme, offset + 4, value >> 32);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The controller does not report in another way that it is done. */
static void wait_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

/* 0; -1 if the controller no longer exists or has failed. */
static int read_status(struct nvme *nvme, uint32_t *status)
{
	if (nvme_read32(nvme, NVME_CSTS, status))
		return -1;
	if (*status == UINT32_MAX)
		return nvme_failed(nvme, ENODEV, "the controller does not answer: its registers read all ones");
	return 0;
}

int nvme_wait_status(struct nvme *nvme, uint32_t mask, uint32_t want, unsigned int milliseconds)
{
	int64_t end = now_ms() + milliseconds;
	uint32_t status;

	for (;;) {
		bool late = now_ms() > end;

		if (read_status(nvme, &status))
			return -1;
		if ((status & mask) == want)
			return 0;
		if (late)
			return nvme_failed(nvme, EIO, "the controller's status is still 0x%x after %u ms",
					   status, milliseconds);
		wait_a_little();
	}
}

static void store(uint32_t *to, uint32_t value)
{
	__atomic_store_n(to, value, __ATOMIC_SEQ_CST);
}

/* What a command has changed.  It can be done twice. */
static void account(struct nvme_state *state, const struct nvme_command *command, unsigned int status)
{
	const bool gone = !status || (status & 0x7ff) == NVME_INVALID_QUEUE;
	unsigned int qid = command->dword10 & 0xffff;

	if (qid < 1 || qid > NVME_MAX_QUEUES)
		return;
	if (command->opcode == NVME_CREATE_CQ && !status)
		state->queues[qid - 1] |= NVME_HAS_CQ;
	if (command->opcode == NVME_CREATE_SQ && !status)
		state->queues[qid - 1] |= NVME_HAS_SQ;
	if (command->opcode == NVME_DELETE_SQ && gone)
		state->queues[qid - 1] &= ~NVME_HAS_SQ;
	if (command->opcode == NVME_DELETE_CQ && gone)
		state->queues[qid - 1] &= ~NVME_HAS_CQ;
}

/* The controller can use the entry again. */
static int pass_entry(struct nvme *nvme)
{
	store(&nvme->state->entries_seen, nvme->state->entries_seen + 1);
	return nvme_write32(nvme, NVME_CQ_HEAD(0, nvme_doorbell_stride(nvme)),
			    nvme->state->entries_seen % NVME_ADMIN_ENTRIES);
}

/*
 * The completion of command @id.  Clients can ring the admin queue's doorbell, which is in
 * the page of their own ones, so completions of commands that nobody has submitted are
 * skipped (see forget()).  1: @entry is filled in; 0: not yet.
 */
static int find_entry(struct nvme *nvme, uint16_t id, struct nvme_entry *entry)
{
	for (unsigned int i = 0; i < NVME_ADMIN_ENTRIES; i++) {
		uint32_t seen = nvme->state->entries_seen;
		const struct nvme_entry *at = &nvme->entries[seen % NVME_ADMIN_ENTRIES];
		uint16_t status = __atomic_load_n(&at->status, __ATOMIC_ACQUIRE);

		if ((status & 1) == seen / NVME_ADMIN_ENTRIES % 2)
			return 0;
		memcpy(entry, at, sizeof(*entry));
		entry->status = status;
		if (entry->id == id)
			return 1;
		if (pass_entry(nvme))
			return -1;
	}
	return 0;
}

/*
 * A client that rings the admin queue's doorbell makes the controller carry out what is in
 * its places.  Zeros are: delete submission queue 0, which the controller rejects.  Clients
 * cannot write there, because the memory is read-only for the controller.
 */
static void forget(struct nvme_command *command)
{
	memset(command, 0, sizeof(*command));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Not 0, which commands that nobody has submitted have. */
static uint16_t id_of(uint32_t number)
{
	return number % 0xffff + 1;
}

/* Rings the doorbell if the command is not complete after @ring_ms, and waits. */
static int wait_for(struct nvme *nvme, unsigned int ring_ms, struct nvme_entry *entry)
{
	const struct nvme_state *state = nvme->state;
	int64_t begin = now_ms();
	bool rung = false;
	uint32_t csts;
	int ret;

	for (;;) {
		int64_t passed = now_ms() - begin;

		if (!rung && passed >= ring_ms) {
			if (nvme_write32(nvme, NVME_SQ_TAIL(0, nvme_doorbell_stride(nvme)),
					 state->submitted % NVME_ADMIN_ENTRIES))
				return -1;
			rung = true;
		}
		ret = find_entry(nvme, id_of(state->completed), entry);
		if (ret)
			return ret < 0 ? -1 : 0;
		if (read_status(nvme, &csts))
			return -1;
		if (csts & NVME_CSTS_CFS || !(csts & NVME_CSTS_RDY))
			return nvme_failed(nvme, EIO, "the controller has failed or was reset: its status is 0x%x", csts);
		if (passed > ADMIN_MS)
			return nvme_failed(nvme, EIO, "the controller has not completed a command within %d s",
					   ADMIN_MS / 1000);
		wait_a_little();
	}
}

/* See struct nvme_state for the order. */
static int finish(struct nvme *nvme, unsigned int ring_ms, uint32_t *result)
{
	struct nvme_state *state = nvme->state;
	struct nvme_command *command = &nvme->commands[state->completed % NVME_ADMIN_ENTRIES];
	struct nvme_entry entry;

	if (wait_for(nvme, ring_ms, &entry))
		return -1;
	account(state, command, entry.status >> 1);
	store(&state->completed, state->completed + 1);
	forget(command);
	if (pass_entry(nvme))
		return -1;
	if (result)
		*result = entry.result;
	return entry.status >> 1;
}

int nvme_admin(struct nvme *nvme, struct nvme_command *command, uint32_t *result)
{
	struct nvme_state *state = nvme->state;

	if (state->submitted != state->completed)
		return nvme_failed(nvme, EIO, "an earlier command to the controller has not been completed");
	command->id = id_of(state->submitted);
	nvme->commands[state->submitted % NVME_ADMIN_ENTRIES] = *command;
	store(&state->submitted, state->submitted + 1);
	return finish(nvme, 0, result);
}

int nvme_admin_finish(struct nvme *nvme)
{
	int status = 0;

	if (nvme->state->submitted != nvme->state->completed)
		status = finish(nvme, AGAIN_MS, NULL);
	if (status >= 0)
		memset(nvme->commands, 0, NVME_PAGE);
	return status;
}

int nvme_set_interrupt(struct nvme *nvme, unsigned int vector, int eventfd)
{
	struct {
		struct vfio_irq_set set;
		int32_t eventfd;
	} request = {
		.set = {
			.argsz = sizeof(request),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSIX_IRQ_INDEX,
			.start = vector,
			.count = 1,
		},
		.eventfd = eventfd,
	};

	if (!ioctl(vdb_device_fd(nvme->device), VFIO_DEVICE_SET_IRQS, &request))
		return 0;
	return nvme_failed(nvme, errno, "interrupt %u: %s", vector, strerror(errno));
}
