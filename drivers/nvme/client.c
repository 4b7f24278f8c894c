// SPDX-License-Identifier: MIT
/* A client's I/O on a lent queue pair. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vfio-dmabuf-nvme.h>

#include "layout.h"

struct mapping {
	void *address;
	size_t length;
};

/* A place for a command; its index is the command's id. */
struct slot {
	uint64_t tag;
	bool used;
};

struct vdb_nvme {
	struct nvme_layout *layout;		/* in the lent memory: only magic, ended and opened are read again */
	volatile uint32_t *sq_doorbell;
	volatile uint32_t *cq_doorbell;
	struct nvme_command *sq;
	const struct nvme_entry *cq;
	bool sq_is_registers;
	bool has_interrupt;
	bool revoked;				/* the doorbells cannot be reached */
	bool ended;				/* nothing more will be completed */
	uint16_t phase;				/* of a new entry */
	uint32_t entries;
	uint32_t tail, rung_tail;
	uint32_t head, rung_head;
	char *data;
	uint64_t data_size;
	uint64_t data_iova;
	uint64_t lists_iova;
	uint64_t max_transfer;
	struct slot *slots;
	uint16_t *free;				/* a stack of unused slots */
	unsigned int nr_free, nr_slots;
	unsigned int id;
	struct mapping doorbells, memory, submission;
	unsigned int nr_namespaces;
	struct vdb_nvme_namespace namespaces[NVME_MAX_NAMESPACES];
	uint8_t block_shift[NVME_MAX_NAMESPACES];
};

__attribute__((format(printf, 3, 4)))
static bool failed(char *error, int number, const char *format, ...)
{
	va_list args;

	if (error) {
		va_start(args, format);
		vsnprintf(error, VDB_ERROR_SIZE, format, args);
		va_end(args);
	}
	errno = number;
	return false;
}

static bool map_slice(const struct vdb_slice *slice, const char *name, struct mapping *mapping, char *error)
{
	mapping->length = vdb_slice_length(slice);
	mapping->address = vdb_slice_map(slice, 0, 0, PROT_READ | PROT_WRITE);
	if (mapping->address)
		return true;
	return failed(error, errno == EACCES ? EINVAL : errno, "mapping the %s: %s", name, strerror(errno));
}

static void unmap(const struct mapping *mapping)
{
	if (mapping->address)
		munmap(mapping->address, mapping->length);
}

/* Whether @size bytes at @offset, aligned to @align, are in a part of @whole bytes. */
static bool fits(uint64_t offset, uint64_t size, uint64_t whole, uint64_t align)
{
	return offset % align == 0 && offset <= whole && size <= whole - offset;
}

static bool in_pages(const struct nvme_layout *layout, uint64_t offset, uint64_t size, uint64_t whole)
{
	return fits(offset, size, whole, NVME_PAGE) && offset >= sizeof(*layout);
}

static uint64_t list_pages(uint64_t data_size)
{
	return (data_size / NVME_PAGE + NVME_LIST_STEP - 1) / NVME_LIST_STEP;
}

/* The description may be anything; @layout is a copy that nobody changes. */
static bool check_layout(const struct nvme_layout *layout, uint64_t length, char *error)
{
	if (layout->magic != NVME_LAYOUT_MAGIC)
		return failed(error, EPROTO, "the memory does not describe a queue pair");
	if (layout->version != NVME_LAYOUT_VERSION)
		return failed(error, EPROTO, "version %u of the queue pair's description, not %u",
			      layout->version, NVME_LAYOUT_VERSION);
	if (layout->entries < 2 || layout->entries > 65536 || !layout->data_size ||
	    layout->data_size % NVME_PAGE || layout->max_transfer < NVME_PAGE ||
	    layout->max_transfer > NVME_MAX_TRANSFER || layout->nr_namespaces > NVME_MAX_NAMESPACES ||
	    !in_pages(layout, layout->data, layout->data_size, length) ||
	    !in_pages(layout, layout->lists, list_pages(layout->data_size) * NVME_PAGE, length) ||
	    !in_pages(layout, layout->cq, layout->entries * sizeof(struct nvme_entry), length) ||
	    (!(layout->flags & NVME_LAYOUT_CMB) &&
	     !in_pages(layout, layout->sq, layout->entries * sizeof(struct nvme_command), length)))
		return failed(error, EPROTO, "the queue pair does not fit the memory of 0x%llx bytes",
			      (unsigned long long)length);
	for (unsigned int i = 0; i < layout->nr_namespaces; i++)
		if (layout->namespaces[i].block_shift < 9 || layout->namespaces[i].block_shift > 16)
			return failed(error, EPROTO, "namespace %u has blocks of 2^%u bytes",
				      layout->namespaces[i].id, layout->namespaces[i].block_shift);
	return true;
}

static bool find_doorbells(struct vdb_nvme *queue, const struct nvme_layout *layout,
			   const struct vdb_slice *doorbells, char *error)
{
	uint64_t sq = layout->sq_doorbell - vdb_slice_offset(doorbells);
	uint64_t cq = layout->cq_doorbell - vdb_slice_offset(doorbells);
	char *base = queue->doorbells.address;

	if (vdb_slice_bar(doorbells) != 0 || !fits(sq, 4, queue->doorbells.length, 4) ||
	    !fits(cq, 4, queue->doorbells.length, 4))
		return failed(error, EINVAL, "the slice of registers does not have the doorbells at 0x%llx and 0x%llx of BAR 0",
			      (unsigned long long)layout->sq_doorbell, (unsigned long long)layout->cq_doorbell);
	queue->sq_doorbell = (volatile uint32_t *)(base + sq);
	queue->cq_doorbell = (volatile uint32_t *)(base + cq);
	return true;
}

static bool find_submission(struct vdb_nvme *queue, const struct nvme_layout *layout,
			    const struct vdb_slice *submission, char *error)
{
	uint64_t offset;

	if (!(layout->flags & NVME_LAYOUT_CMB)) {
		queue->sq = (struct nvme_command *)((char *)queue->memory.address + layout->sq);
		return true;
	}
	if (!submission)
		return failed(error, EINVAL, "the submission queue is in BAR %u, and there is no slice of it",
			      layout->sq_bar);
	if (!map_slice(submission, "submission queue", &queue->submission, error))
		return false;
	offset = layout->sq - vdb_slice_offset(submission);
	if (vdb_slice_bar(submission) != layout->sq_bar ||
	    !fits(offset, layout->entries * sizeof(struct nvme_command), queue->submission.length, 64))
		return failed(error, EINVAL, "the slice does not have the submission queue at 0x%llx of BAR %u",
			      (unsigned long long)layout->sq, layout->sq_bar);
	queue->sq = (struct nvme_command *)((char *)queue->submission.address + offset);
	queue->sq_is_registers = true;
	return true;
}

/* See layout.h. */
static void make_lists(uint64_t *lists, uint64_t data_iova, uint64_t data_size)
{
	for (uint64_t page = 0; page < list_pages(data_size); page++)
		for (uint64_t i = 0; i < NVME_LIST_ENTRIES; i++) {
			uint64_t of_data = page * NVME_LIST_STEP + i;

			lists[page * NVME_LIST_ENTRIES + i] =
				of_data < data_size / NVME_PAGE ? data_iova + of_data * NVME_PAGE : 0;
		}
}

static bool make_slots(struct vdb_nvme *queue)
{
	/* A queue with as many commands as entries would look like an empty one. */
	queue->nr_slots = queue->entries - 1;
	queue->slots = calloc(queue->nr_slots, sizeof(queue->slots[0]));
	queue->free = calloc(queue->nr_slots, sizeof(queue->free[0]));
	if (!queue->slots || !queue->free)
		return false;
	while (queue->nr_free < queue->nr_slots) {
		queue->free[queue->nr_free] = queue->nr_slots - 1 - queue->nr_free;
		queue->nr_free++;
	}
	return true;
}

static bool open_queue(struct vdb_nvme *queue, const struct vdb_slice *doorbells,
		       const struct vdb_slice *memory, const struct vdb_slice *submission, char *error)
{
	struct nvme_layout layout;
	char *base;

	if (vdb_slice_kind(doorbells) != VDB_KIND_REGISTERS || vdb_slice_kind(memory) != VDB_KIND_MEMORY ||
	    (submission && vdb_slice_kind(submission) != VDB_KIND_REGISTERS))
		return failed(error, EINVAL, "a queue pair needs a slice of registers and one of memory");
	if (vdb_slice_length(memory) < sizeof(layout))
		return failed(error, EPROTO, "the memory does not describe a queue pair");
	if (!map_slice(memory, "memory", &queue->memory, error) ||
	    !map_slice(doorbells, "doorbells", &queue->doorbells, error))
		return false;
	base = queue->memory.address;
	queue->layout = queue->memory.address;
	memcpy(&layout, queue->layout, sizeof(layout));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!check_layout(&layout, queue->memory.length, error) ||
	    !find_doorbells(queue, &layout, doorbells, error) ||
	    !find_submission(queue, &layout, submission, error))
		return false;

	queue->id = layout.qid;
	queue->entries = layout.entries;
	queue->cq = (const struct nvme_entry *)(base + layout.cq);
	queue->phase = 1;
	queue->has_interrupt = layout.flags & NVME_LAYOUT_INTERRUPT;
	queue->data = base + layout.data;
	queue->data_size = layout.data_size;
	queue->data_iova = vdb_slice_iova(memory) + layout.data;
	queue->lists_iova = vdb_slice_iova(memory) + layout.lists;
	queue->max_transfer = layout.max_transfer;
	queue->nr_namespaces = layout.nr_namespaces;
	for (unsigned int i = 0; i < layout.nr_namespaces; i++) {
		queue->namespaces[i] = (struct vdb_nvme_namespace){
			.id = layout.namespaces[i].id,
			.block_size = 1u << layout.namespaces[i].block_shift,
			.blocks = layout.namespaces[i].blocks,
		};
		queue->block_shift[i] = layout.namespaces[i].block_shift;
	}
	if (!make_slots(queue))
		return failed(error, ENOMEM, "%s", strerror(ENOMEM));
	if (__atomic_load_n(&queue->layout->ended, __ATOMIC_ACQUIRE))
		return failed(error, ENODEV, "the queue pair has ended");
	if (__atomic_exchange_n(&queue->layout->opened, 1, __ATOMIC_SEQ_CST))
		return failed(error, EBUSY, "the queue pair has been opened before; get a new lease");
	make_lists((uint64_t *)(base + layout.lists), queue->data_iova, queue->data_size);
	return true;
}

struct vdb_nvme *vdb_nvme_open(const struct vdb_slice *doorbells, const struct vdb_slice *memory,
			       const struct vdb_slice *submission, char error[VDB_ERROR_SIZE])
{
	struct vdb_nvme *queue = calloc(1, sizeof(*queue));

	if (!queue) {
		failed(error, ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	if (open_queue(queue, doorbells, memory, submission, error))
		return queue;
	vdb_nvme_close(queue);
	return NULL;
}

void vdb_nvme_close(struct vdb_nvme *queue)
{
	int error = errno;

	if (!queue)
		return;
	unmap(&queue->doorbells);
	unmap(&queue->memory);
	unmap(&queue->submission);
	free(queue->slots);
	free(queue->free);
	free(queue);
	errno = error;
}

unsigned int vdb_nvme_id(const struct vdb_nvme *queue)
{
	return queue->id;
}

unsigned int vdb_nvme_depth(const struct vdb_nvme *queue)
{
	return queue->nr_slots;
}

unsigned int vdb_nvme_outstanding(const struct vdb_nvme *queue)
{
	return queue->nr_slots - queue->nr_free;
}

size_t vdb_nvme_max_transfer(const struct vdb_nvme *queue)
{
	return queue->max_transfer;
}

bool vdb_nvme_has_interrupt(const struct vdb_nvme *queue)
{
	return queue->has_interrupt;
}

const struct vdb_nvme_namespace *vdb_nvme_namespace(const struct vdb_nvme *queue, unsigned int index)
{
	return index < queue->nr_namespaces ? &queue->namespaces[index] : NULL;
}

void *vdb_nvme_data(const struct vdb_nvme *queue, size_t *size)
{
	*size = queue->data_size;
	return queue->data;
}

uint64_t vdb_nvme_iova(const struct vdb_nvme *queue, const void *address)
{
	uint64_t offset = (uintptr_t)address - (uintptr_t)queue->data;

	return offset < queue->data_size ? queue->data_iova + offset : 0;
}

/* ---- submission ---- */

/*
 * What the program has read of the memory before was there.  An owner can also have made a
 * hole of the memory, so that the description no longer exists.
 */
static bool has_ended(const struct vdb_nvme *queue)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&queue->layout->ended, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&queue->layout->magic, __ATOMIC_RELAXED) != NVME_LAYOUT_MAGIC;
}

static bool is_over(const struct vdb_nvme *queue)
{
	return queue->revoked || queue->ended || has_ended(queue);
}

/* The controller's memory buffer can be revoked like the doorbells. */
static bool put(struct vdb_nvme *queue, const struct nvme_command *command)
{
	struct nvme_command *to = &queue->sq[queue->tail];

	if (!queue->sq_is_registers) {
		*to = *command;
		return true;
	}
	for (unsigned int i = 0; i < sizeof(*command) / 8; i++) {
		uint64_t part;

		memcpy(&part, (const char *)command + 8 * i, sizeof(part));
		if (vdb_try_write64((char *)to + 8 * i, part)) {
			queue->revoked = true;
			return false;
		}
	}
	return true;
}

static int submit(struct vdb_nvme *queue, struct nvme_command *command, uint64_t tag)
{
	if (is_over(queue)) {
		errno = ENODEV;
		return -1;
	}
	if (!queue->nr_free) {
		errno = EAGAIN;
		return -1;
	}
	command->id = queue->free[queue->nr_free - 1];
	if (!put(queue, command)) {
		errno = ENODEV;
		return -1;
	}
	queue->nr_free--;
	queue->slots[command->id] = (struct slot){ tag, true };
	if (++queue->tail == queue->entries)
		queue->tail = 0;
	return 0;
}

/* Its index; or nr_namespaces. */
static unsigned int find_namespace(const struct vdb_nvme *queue, uint32_t id)
{
	unsigned int i = 0;

	while (i < queue->nr_namespaces && queue->namespaces[i].id != id)
		i++;
	return i;
}

/* 4.1.1: the first page is in PRP 1; PRP 2 has the second, or the list of all others. */
static void set_prps(const struct vdb_nvme *queue, struct nvme_command *command, uint64_t offset, uint64_t length)
{
	uint64_t first = offset >> NVME_PAGE_SHIFT;
	uint64_t last = (offset + length - 1) >> NVME_PAGE_SHIFT;
	uint64_t second = first + 1;

	command->prp1 = queue->data_iova + offset;
	if (last == second)
		command->prp2 = queue->data_iova + (second << NVME_PAGE_SHIFT);
	else if (last > second)
		command->prp2 = queue->lists_iova + second / NVME_LIST_STEP * NVME_PAGE +
				second % NVME_LIST_STEP * sizeof(uint64_t);
}

static int transfer(struct vdb_nvme *queue, uint8_t opcode, uint32_t namespace_id, uint64_t block,
		    uint32_t blocks, const void *data, uint64_t tag)
{
	struct nvme_command command = {
		.opcode = opcode,
		.nsid = namespace_id,
		.dword10 = (uint32_t)block,
		.dword11 = (uint32_t)(block >> 32),
		.dword12 = blocks - 1,
	};
	uint64_t offset = (uintptr_t)data - (uintptr_t)queue->data;
	unsigned int ns = find_namespace(queue, namespace_id);
	uint64_t length;

	if (ns == queue->nr_namespaces || !blocks || offset % 4) {
		errno = EINVAL;
		return -1;
	}
	length = (uint64_t)blocks << queue->block_shift[ns];
	if (length > queue->max_transfer || !fits(offset, length, queue->data_size, 4)) {
		errno = EINVAL;
		return -1;
	}
	if (block > queue->namespaces[ns].blocks || blocks > queue->namespaces[ns].blocks - block) {
		errno = ERANGE;
		return -1;
	}
	set_prps(queue, &command, offset, length);
	return submit(queue, &command, tag);
}

int vdb_nvme_read(struct vdb_nvme *queue, uint32_t namespace_id, uint64_t block, uint32_t blocks,
		  void *data, uint64_t tag)
{
	return transfer(queue, NVME_READ, namespace_id, block, blocks, data, tag);
}

int vdb_nvme_write(struct vdb_nvme *queue, uint32_t namespace_id, uint64_t block, uint32_t blocks,
		   const void *data, uint64_t tag)
{
	return transfer(queue, NVME_WRITE, namespace_id, block, blocks, data, tag);
}

int vdb_nvme_flush(struct vdb_nvme *queue, uint32_t namespace_id, uint64_t tag)
{
	struct nvme_command command = { .opcode = NVME_FLUSH, .nsid = namespace_id };

	if (find_namespace(queue, namespace_id) == queue->nr_namespaces) {
		errno = EINVAL;
		return -1;
	}
	return submit(queue, &command, tag);
}

static bool ring(struct vdb_nvme *queue, volatile uint32_t *doorbell, uint32_t value)
{
	if (!queue->revoked && vdb_try_write32(doorbell, value))
		queue->revoked = true;
	return !queue->revoked;
}

int vdb_nvme_ring(struct vdb_nvme *queue)
{
	if (is_over(queue) || (queue->tail != queue->rung_tail && !ring(queue, queue->sq_doorbell, queue->tail))) {
		errno = ENODEV;
		return -1;
	}
	queue->rung_tail = queue->tail;
	return 0;
}

/* ---- completion ---- */

/*
 * 3.3.1.2: an entry is new if its phase is the expected one.  False: there is none.  Entries
 * that are not of this client's commands are skipped; a queue can have no more of them than
 * it has entries, so that this ends.
 */
static bool take(struct vdb_nvme *queue, struct vdb_nvme_completion *completion, unsigned int *skipped)
{
	while (*skipped < queue->entries) {
		const struct nvme_entry *entry = &queue->cq[queue->head];
		uint16_t status = __atomic_load_n(&entry->status, __ATOMIC_ACQUIRE);
		uint16_t id = __atomic_load_n(&entry->id, __ATOMIC_ACQUIRE);

		if ((status & 1) != queue->phase)
			return false;
		/* A hole looks like an entry of success, but no controller has a queue pair 0. */
		if (__atomic_load_n(&entry->sq_id, __ATOMIC_ACQUIRE) != queue->id && has_ended(queue))
			return false;
		if (++queue->head == queue->entries) {
			queue->head = 0;
			queue->phase = !queue->phase;
		}
		if (id < queue->nr_slots && queue->slots[id].used) {
			*completion = (struct vdb_nvme_completion){
				.tag = queue->slots[id].tag,
				.status = status >> 1,
			};
			queue->slots[id].used = false;
			queue->free[queue->nr_free++] = id;
			return true;
		}
		++*skipped;
	}
	return false;
}

static unsigned int take_all(struct vdb_nvme *queue, struct vdb_nvme_completion *completions, unsigned int room)
{
	unsigned int nr = 0, skipped = 0;

	while (nr < room && take(queue, &completions[nr], &skipped))
		nr++;
	/* The controller can use the entries again. */
	if (queue->head != queue->rung_head && ring(queue, queue->cq_doorbell, queue->head))
		queue->rung_head = queue->head;
	return nr;
}

/* Commands that are outstanding and will not be completed. */
static unsigned int lose(struct vdb_nvme *queue, struct vdb_nvme_completion *completions, unsigned int room)
{
	unsigned int nr = 0;

	for (unsigned int id = 0; id < queue->nr_slots && nr < room; id++) {
		if (!queue->slots[id].used)
			continue;
		completions[nr++] = (struct vdb_nvme_completion){ queue->slots[id].tag, VDB_NVME_LOST, 0 };
		queue->slots[id].used = false;
		queue->free[queue->nr_free++] = id;
	}
	return nr;
}

int vdb_nvme_poll(struct vdb_nvme *queue, struct vdb_nvme_completion *completions, unsigned int room)
{
	unsigned int nr;

	if (queue->tail != queue->rung_tail)
		vdb_nvme_ring(queue);
	nr = take_all(queue, completions, room);
	if (nr || !room)
		return nr;
	if (!queue->ended) {
		if (!has_ended(queue))
			return 0;
		queue->ended = true;
		/* The last ones may have come before the end, and after the look at the queue. */
		nr = take_all(queue, completions, room);
		if (nr)
			return nr;
	}
	nr = lose(queue, completions, room);
	if (nr)
		return nr;
	errno = ENODEV;
	return -1;
}

bool vdb_nvme_has_ended(const struct vdb_nvme *queue)
{
	return queue->ended || has_ended(queue);
}

void vdb_nvme_end(struct vdb_nvme *queue)
{
	queue->ended = true;
}
