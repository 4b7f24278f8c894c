// SPDX-License-Identifier: MIT
/* Queue pairs in lent memory. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static uint64_t pages(uint64_t size)
{
	return (size + NVME_PAGE - 1) / NVME_PAGE * NVME_PAGE;
}

static uint64_t sq_size(unsigned int entries)
{
	return pages(entries * sizeof(struct nvme_command));
}

static uint64_t cq_size(unsigned int entries)
{
	return pages(entries * sizeof(struct nvme_entry));
}

static uint64_t lists_size(uint64_t data)
{
	return (data / NVME_PAGE + NVME_LIST_STEP - 1) / NVME_LIST_STEP * NVME_PAGE;
}

uint64_t nvme_queue_memory(unsigned int entries, uint64_t data)
{
	return NVME_PAGE + sq_size(entries) + cq_size(entries) + lists_size(data) + data;
}

/* The part of @memory that is left for data; 0: it is too small. */
static uint64_t data_size(uint64_t memory, unsigned int entries)
{
	uint64_t rest = nvme_queue_memory(entries, 0);

	if (memory <= rest)
		return 0;
	rest = (memory - rest) / NVME_PAGE;
	/* A page of lists for each 256 of the others. */
	return (rest - (rest + NVME_LIST_STEP) / (NVME_LIST_STEP + 1)) * NVME_PAGE;
}

/* The description is all that the client knows. */
static void describe(const struct nvme *nvme, unsigned int qid, uint64_t length,
		     const struct nvme_queue_options *options, struct nvme_layout *layout)
{
	const struct nvme_state *state = nvme->state;
	unsigned int stride = nvme_doorbell_stride(nvme);

	*layout = (struct nvme_layout){
		.magic = NVME_LAYOUT_MAGIC,
		.version = NVME_LAYOUT_VERSION,
		.flags = (options->in_cmb ? NVME_LAYOUT_CMB : 0) |
			 (options->eventfd >= 0 ? NVME_LAYOUT_INTERRUPT : 0),
		.qid = qid,
		.entries = options->entries,
		.sq_doorbell = NVME_SQ_TAIL(qid, stride),
		.cq_doorbell = NVME_CQ_HEAD(qid, stride),
		.sq = NVME_PAGE,
		.nr_namespaces = state->nr_namespaces,
		.cq = NVME_PAGE + sq_size(options->entries),
		.data_size = data_size(length, options->entries),
		.max_transfer = state->max_transfer,
	};
	layout->lists = layout->cq + cq_size(options->entries);
	layout->data = layout->lists + lists_size(layout->data_size);
	if (options->in_cmb) {
		layout->sq = state->cmb.offset + options->cmb_offset;
		layout->sq_bar = state->cmb.bar;
	}
	memcpy(layout->namespaces, state->namespaces, sizeof(layout->namespaces));
}

static int check_options(struct nvme *nvme, unsigned int qid, uint64_t length,
			 const struct nvme_queue_options *options)
{
	const struct nvme_state *state = nvme->state;
	unsigned int entries = options->entries;

	if (qid < 1 || qid > state->max_queues)
		return nvme_failed(nvme, EINVAL, "queue pair %u: the controller has 1 to %u", qid, state->max_queues);
	if (nvme_queue_exists(nvme, qid))
		return nvme_failed(nvme, EEXIST, "queue pair %u exists already", qid);
	if (entries < 2 || entries > nvme_max_entries(nvme))
		return nvme_failed(nvme, EINVAL, "a queue of %u entries: the controller allows 2 to %u",
				   entries, nvme_max_entries(nvme));
	if (!data_size(length, entries))
		return nvme_failed(nvme, EINVAL, "a queue pair of %u entries needs at least 0x%llx bytes of memory",
				   entries, (unsigned long long)nvme_queue_memory(entries, NVME_PAGE));
	if (options->eventfd >= 0 && qid >= state->vectors)
		return nvme_failed(nvme, EINVAL, "queue pair %u: the controller has %u interrupts", qid, state->vectors);
	if (options->in_cmb && (options->cmb_offset % NVME_PAGE || options->cmb_offset > state->cmb.size ||
				sq_size(entries) > state->cmb.size - options->cmb_offset))
		return nvme_failed(nvme, EINVAL, "the controller's memory buffer of 0x%llx bytes has no room for a submission queue at 0x%llx",
				   (unsigned long long)state->cmb.size, (unsigned long long)options->cmb_offset);
	return 0;
}

/* 0; or -1 also if the controller rejects it. */
static int queue_command(struct nvme *nvme, struct nvme_command *command, const char *what)
{
	int status = nvme_admin(nvme, command, NULL);

	if (status <= 0)
		return status;
	return nvme_failed(nvme, EIO, "the controller has rejected to %s queue %u with status 0x%x",
			   what, command->dword10 & 0xffff, status);
}

/* 5.4: the CQ, and 5.5: the SQ that reports to it. */
static int create(struct nvme *nvme, unsigned int qid, uint64_t sq, uint64_t cq,
		  const struct nvme_queue_options *options)
{
	struct nvme_command create_cq = {
		.opcode = NVME_CREATE_CQ,
		.prp1 = cq,
		.dword10 = (options->entries - 1) << 16 | qid,
		.dword11 = NVME_QUEUE_CONTIGUOUS |
			   (options->eventfd >= 0 ? NVME_QUEUE_INTERRUPT | qid << 16 : 0),
	};
	struct nvme_command create_sq = {
		.opcode = NVME_CREATE_SQ,
		.prp1 = sq,
		.dword10 = (options->entries - 1) << 16 | qid,
		.dword11 = NVME_QUEUE_CONTIGUOUS | qid << 16,
	};

	return queue_command(nvme, &create_cq, "create completion") ?:
	       queue_command(nvme, &create_sq, "create submission");
}

int nvme_queue_create_at(struct nvme *nvme, unsigned int qid, void *address, uint64_t iova, uint64_t length,
			 const struct nvme_queue_options *options)
{
	char text[VDB_ERROR_SIZE];
	struct nvme_layout layout;
	int number;

	if (check_options(nvme, qid, length, options))
		return -1;
	describe(nvme, qid, length, options, &layout);
	memcpy(address, &layout, sizeof(layout));
	nvme->state->tags[qid - 1] = options->tag;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (options->eventfd >= 0 && nvme_set_interrupt(nvme, qid, options->eventfd))
		return -1;
	if (!create(nvme, qid, options->in_cmb ? NVME_CMB_ADDRESS + options->cmb_offset : iova + layout.sq,
		    iova + layout.cq, options))
		return 0;
	number = errno;
	memcpy(text, nvme->error, sizeof(text));
	nvme_queue_delete(nvme, qid, NULL);
	/* If the CQ does not exist, that was not done. */
	if (options->eventfd >= 0)
		nvme_set_interrupt(nvme, qid, -1);
	memcpy(nvme->error, text, sizeof(text));
	errno = number;
	return -1;
}

int nvme_queue_create(struct nvme *nvme, unsigned int qid, const struct vdb_slice *memory,
		      const struct nvme_queue_options *options)
{
	void *address = vdb_slice_map(memory, 0, 0, PROT_READ | PROT_WRITE);
	int ret, number;

	if (!address)
		return nvme_failed(nvme, errno, "mapping the memory of queue pair %u: %s", qid, strerror(errno));
	ret = nvme_queue_create_at(nvme, qid, address, vdb_slice_iova(memory), vdb_slice_length(memory), options);
	number = errno;
	vdb_slice_unmap(memory, address, 0, 0);
	errno = number;
	return ret;
}

bool nvme_queue_exists(const struct nvme *nvme, unsigned int qid)
{
	return qid >= 1 && qid <= NVME_MAX_QUEUES && nvme->state->queues[qid - 1];
}

unsigned int nvme_queue_find(const struct nvme *nvme, uint64_t tag)
{
	for (unsigned int qid = 1; qid <= nvme->state->max_queues; qid++)
		if (tag ? nvme_queue_tag(nvme, qid) == tag : !nvme_queue_exists(nvme, qid))
			return qid;
	return 0;
}

uint64_t nvme_queue_tag(const struct nvme *nvme, unsigned int qid)
{
	return nvme_queue_exists(nvme, qid) ? nvme->state->tags[qid - 1] : 0;
}

/*
 * The interrupt first: a process that is killed in between leaves a queue pair that the next one
 * finds.  3.3.1.3: not the CQ before its SQ.
 */
int nvme_queue_delete(struct nvme *nvme, unsigned int qid, const struct vdb_slice *memory)
{
	static const struct {
		uint8_t has, opcode;
		const char *what;
	} parts[] = {
		{ NVME_HAS_SQ, NVME_DELETE_SQ, "delete submission" },
		{ NVME_HAS_CQ, NVME_DELETE_CQ, "delete completion" },
	};

	if (nvme_queue_exists(nvme, qid)) {
		uint8_t *queue = &nvme->state->queues[qid - 1];

		if (qid < nvme->state->vectors && nvme_set_interrupt(nvme, qid, -1))
			return -1;
		for (unsigned int i = 0; i < 2; i++) {
			struct nvme_command command = { .opcode = parts[i].opcode, .dword10 = qid };

			/* What the controller does not have is deleted: then there is no error. */
			if (*queue & parts[i].has && queue_command(nvme, &command, parts[i].what) &&
			    *queue & parts[i].has)
				return -1;
		}
	}
	if (memory && nvme_queue_end(vdb_slice_fd(memory)))
		return nvme_failed(nvme, errno, "writing to the memory of queue pair %u: %s", qid, strerror(errno));
	return 0;
}

/*
 * The client has the memory as well, and can take pages away.  So this does not write through
 * a mapping, where it could get SIGBUS.  Huge pages have no other way; there the access is
 * guarded, if the program uses the guard.
 */
int nvme_queue_end(int memory_fd)
{
	const off_t offset = offsetof(struct nvme_layout, ended);
	const uint32_t ended = 1;
	struct stat st;
	char *address;
	int ret;

	if (pwrite(memory_fd, &ended, sizeof(ended), offset) == sizeof(ended))
		return 0;
	if (errno != EINVAL || fstat(memory_fd, &st))
		return -1;
	address = mmap(NULL, st.st_blksize, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	if (address == MAP_FAILED)
		return -1;
	ret = vdb_try_write32(address + offset, ended);
	munmap(address, st.st_blksize);
	return ret;
}
