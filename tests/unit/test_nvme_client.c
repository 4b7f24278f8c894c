// SPDX-License-Identifier: MIT
/*
 * The client's queue logic, against a controller that the test simulates: it reads the
 * doorbells and the submission queue, follows the PRPs, and writes completions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf-nvme.h>

#include "internal.h"
#include "layout.h"
#include "suite.h"

#define PAGE		0x1000UL
#define IOVA		0x123450000000UL
#define MEMORY		(4UL << 20)
#define ENTRIES		8u
#define QID		3u
#define NSID		7u
#define SHIFT		9u
#define BLOCKS		16384u
#define DATA_OFFSET	(8 * PAGE)
#define CMB_OFFSET	(5 * PAGE)	/* in BAR 2 */

static struct vdb_slice doorbells, memory, cmb;
static struct nvme_layout *layout;
static char *shared;		/* the memory, as the owner and the controller have it */
static uint32_t *registers;
static char *cmb_memory;
static char error[VDB_ERROR_SIZE];
static struct vdb_nvme *queue;
static char *data;
static size_t size;

/* The controller. */
static char disk[BLOCKS << SHIFT];
static struct nvme_command fetched[1024];
static unsigned int nr_fetched, nr_completed, entries;
static uint32_t sq_head, cq_tail;

static int file(size_t length)
{
	int fd = memfd_create("unit", MFD_CLOEXEC);

	ck_assert_works(fd);
	ck_assert_works(ftruncate(fd, length));
	return fd;
}

static struct vdb_slice slice(enum vdb_kind kind, size_t length, unsigned int bar, uint64_t offset)
{
	return (struct vdb_slice){
		.kind = kind, .fd = file(length), .event_fd = -1, .bar = bar, .offset = offset,
		.length = length, .iova = kind == VDB_KIND_MEMORY ? IOVA : 0, .page = PAGE,
	};
}

static void *map(const struct vdb_slice *from)
{
	void *address = mmap(NULL, from->length, PROT_READ | PROT_WRITE, MAP_SHARED, from->fd, 0);

	ck_assert_ptr_ne(address, MAP_FAILED);
	return address;
}

static void describe(unsigned int nr_entries)
{
	entries = nr_entries;
	*layout = (struct nvme_layout){
		.magic = NVME_LAYOUT_MAGIC,
		.version = NVME_LAYOUT_VERSION,
		.qid = QID,
		.entries = entries,
		.sq_doorbell = 0x1000 + 2 * QID * 4,
		.cq_doorbell = 0x1000 + 2 * QID * 4 + 4,
		.sq = PAGE,
		.cq = 2 * PAGE,
		.lists = 3 * PAGE,
		.data = DATA_OFFSET,
		.data_size = MEMORY - DATA_OFFSET,
		.max_transfer = NVME_MAX_TRANSFER,
		.nr_namespaces = 2,
		.namespaces = { { 2, 12, 10 }, { NSID, SHIFT, BLOCKS } },
	};
}

static void setup(void)
{
	doorbells = slice(VDB_KIND_REGISTERS, PAGE, 0, PAGE);
	memory = slice(VDB_KIND_MEMORY, MEMORY, 0, 0);
	cmb = slice(VDB_KIND_REGISTERS, PAGE, 2, CMB_OFFSET);
	registers = map(&doorbells);
	shared = map(&memory);
	cmb_memory = map(&cmb);
	layout = (struct nvme_layout *)shared;
	describe(ENTRIES);
	ck_assert_works(vdb_guard_enable());
}

static void open_queue(void)
{
	queue = vdb_nvme_open(&doorbells, &memory, &cmb, error);
	ck_assert_msg(queue, "%s", error);
	data = vdb_nvme_data(queue, &size);
}

static void setup_open(void)
{
	setup();
	open_queue();
}

static void teardown(void)
{
	vdb_nvme_close(queue);
	munmap(registers, PAGE);
	munmap(shared, MEMORY);
	munmap(cmb_memory, PAGE);
	close(doorbells.fd);
	close(memory.fd);
	close(cmb.fd);
}

/* ---- the controller ---- */

static uint32_t doorbell(uint64_t offset)
{
	return registers[(offset - PAGE) / 4];
}

/* How many commands the doorbell has announced. */
static unsigned int fetch(void)
{
	uint32_t tail = doorbell(layout->sq_doorbell);
	unsigned int nr = 0;

	ck_assert_uint_lt(tail, entries);
	for (; sq_head != tail; nr++) {
		const char *sq = layout->flags & NVME_LAYOUT_CMB ? cmb_memory : shared + layout->sq;

		ck_assert_uint_lt(nr_fetched, 1024);
		memcpy(&fetched[nr_fetched++], sq + sq_head * 64, 64);
		sq_head = (sq_head + 1) % entries;
	}
	return nr;
}

static void post(uint16_t id, uint16_t status)
{
	struct nvme_entry *entry = (struct nvme_entry *)(shared + layout->cq) + cq_tail % entries;

	ck_assert_msg((cq_tail + 1) % entries != doorbell(layout->cq_doorbell), "the completion queue is full");
	entry->id = id;
	entry->sq_id = QID;
	__atomic_store_n(&entry->status, status << 1 | !(cq_tail / entries % 2), __ATOMIC_RELEASE);
	cq_tail++;
	nr_completed++;
}

/* A byte that the controller has at an IOVA. */
static char *at(uint64_t iova)
{
	ck_assert_uint_ge(iova, IOVA);
	ck_assert_uint_lt(iova, IOVA + MEMORY);
	return shared + (iova - IOVA);
}

/* The pages of a transfer as the specification has it; returns their number. */
static unsigned int pages_of(const struct nvme_command *command, uint64_t length, uint64_t pages[], uint64_t parts[])
{
	uint64_t entry = command->prp1, list = command->prp2;
	unsigned int nr = 0;

	parts[0] = PAGE - entry % PAGE < length ? PAGE - entry % PAGE : length;
	for (;;) {
		pages[nr] = entry;
		length -= parts[nr++];
		if (!length)
			return nr;
		parts[nr] = length < PAGE ? length : PAGE;
		if (nr == 1 && length <= PAGE) {
			entry = command->prp2;
		} else {
			/* The last entry of a page is the next list, unless nothing is left. */
			ck_assert_uint_eq(list % 8, 0);
			if (list % PAGE == PAGE - 8 && length > PAGE)
				memcpy(&list, at(list), 8);
			memcpy(&entry, at(list), 8);
			list += 8;
		}
		ck_assert_uint_eq(entry % PAGE, 0);
	}
}

static void carry_out(const struct nvme_command *command)
{
	uint64_t block = command->dword10 | (uint64_t)command->dword11 << 32;
	uint64_t pages[NVME_LIST_ENTRIES], parts[NVME_LIST_ENTRIES];
	unsigned int nr;
	char *on_disk;

	ck_assert_uint_eq(command->nsid, NSID);
	if (command->opcode == NVME_FLUSH)
		return;
	ck_assert_uint_le(block + command->dword12 + 1, BLOCKS);
	on_disk = disk + (block << SHIFT);
	nr = pages_of(command, (command->dword12 + 1ULL) << SHIFT, pages, parts);
	for (unsigned int i = 0; i < nr; i++) {
		if (command->opcode == NVME_WRITE)
			memcpy(on_disk, at(pages[i]), parts[i]);
		else
			memcpy(at(pages[i]), on_disk, parts[i]);
		on_disk += parts[i];
	}
}

/* All that was announced, in order. */
static void run(void)
{
	fetch();
	while (nr_completed < nr_fetched) {
		carry_out(&fetched[nr_completed]);
		post(fetched[nr_completed].id, 0);
	}
}

static void expect(uint64_t tag, uint32_t status)
{
	struct vdb_nvme_completion completion;

	ck_assert_int_eq(vdb_nvme_poll(queue, &completion, 1), 1);
	ck_assert_uint_eq(completion.tag, tag);
	ck_assert_uint_eq(completion.status, status);
}

static void expect_nothing(void)
{
	struct vdb_nvme_completion completion;

	ck_assert_int_eq(vdb_nvme_poll(queue, &completion, 1), 0);
}

static void expect_end(void)
{
	struct vdb_nvme_completion completion;

	ck_assert_fails(vdb_nvme_poll(queue, &completion, 1), ENODEV);
	ck_assert_uint_eq(vdb_nvme_outstanding(queue), 0);
}

/* ---- what the owner describes ---- */

START_TEST(reports_what_there_is)
{
	ck_assert_uint_eq(vdb_nvme_id(queue), QID);
	ck_assert_uint_eq(vdb_nvme_depth(queue), ENTRIES - 1);
	ck_assert_uint_eq(vdb_nvme_max_transfer(queue), 1 << 20);
	ck_assert(!vdb_nvme_has_interrupt(queue));
	ck_assert_uint_eq(vdb_nvme_namespace(queue, 0)->block_size, 4096);
	ck_assert_uint_eq(vdb_nvme_namespace(queue, 1)->id, NSID);
	ck_assert_uint_eq(vdb_nvme_namespace(queue, 1)->blocks, BLOCKS);
	ck_assert_ptr_null(vdb_nvme_namespace(queue, 2));
	ck_assert_uint_eq(size, MEMORY - DATA_OFFSET);
	ck_assert_uint_eq(vdb_nvme_iova(queue, data), IOVA + DATA_OFFSET);
	ck_assert_uint_eq(vdb_nvme_iova(queue, data + size - 1), IOVA + MEMORY - 1);
	ck_assert_uint_eq(vdb_nvme_iova(queue, data + size), 0);
	ck_assert_uint_eq(vdb_nvme_iova(queue, data - 1), 0);
}
END_TEST

static void bad_magic(void) { layout->magic++; }
static void bad_version(void) { layout->version++; }
static void one_entry(void) { layout->entries = 1; }
static void many_entries(void) { layout->entries = 65537; }
static void cq_over_the_end(void) { layout->cq = MEMORY; }
static void cq_wraps(void) { layout->cq = -PAGE; }
static void sq_over_the_end(void) { layout->sq = MEMORY; layout->entries = 128; }
static void sq_in_description(void) { layout->sq = 0; }
static void sq_not_aligned(void) { layout->sq = PAGE + 64; }
static void data_over_the_end(void) { layout->data_size += PAGE; }
static void data_wraps(void) { layout->data_size = -DATA_OFFSET; }
static void no_data(void) { layout->data_size = 0; }
static void odd_data(void) { layout->data_size -= 512; }
static void lists_over_the_end(void) { layout->lists = MEMORY - PAGE; }
static void no_transfer(void) { layout->max_transfer = 0; }
static void long_transfer(void) { layout->max_transfer = NVME_MAX_TRANSFER + PAGE; }
static void many_namespaces(void) { layout->nr_namespaces = NVME_MAX_NAMESPACES + 1; }
static void small_blocks(void) { layout->namespaces[1].block_shift = 8; }
static void large_blocks(void) { layout->namespaces[1].block_shift = 64; }

static void (*const damages[])(void) = {
	bad_magic, bad_version, one_entry, many_entries, cq_over_the_end, cq_wraps, sq_over_the_end,
	sq_in_description, sq_not_aligned, data_over_the_end, data_wraps, no_data, odd_data,
	lists_over_the_end, no_transfer, long_transfer, many_namespaces, small_blocks, large_blocks,
};

START_TEST(damaged_description)
{
	damages[_i]();
	error[0] = 0;
	ck_assert_ptr_null(vdb_nvme_open(&doorbells, &memory, NULL, error));
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_str_ne(error, "");
	/* It has not been opened. */
	describe(ENTRIES);
	open_queue();
}
END_TEST

static void refused(const struct vdb_slice *first, const struct vdb_slice *second, const struct vdb_slice *third,
		    int number)
{
	error[0] = 0;
	ck_assert_ptr_null(vdb_nvme_open(first, second, third, error));
	ck_assert_int_eq(errno, number);
	ck_assert_str_ne(error, "");
}

START_TEST(wrong_slices)
{
	refused(&memory, &memory, NULL, EINVAL);
	refused(&doorbells, &doorbells, NULL, EINVAL);
	refused(&doorbells, &memory, &memory, EINVAL);
	doorbells.bar = 2;
	refused(&doorbells, &memory, NULL, EINVAL);
	doorbells.bar = 0;
	doorbells.offset = 0;
	refused(&doorbells, &memory, NULL, EINVAL);
	doorbells.offset = 2 * PAGE;
	refused(&doorbells, &memory, NULL, EINVAL);
	doorbells.offset = PAGE;
	layout->cq_doorbell += 2;
	refused(&doorbells, &memory, NULL, EINVAL);
	layout->cq_doorbell -= 2;
	layout->ended = 1;
	refused(&doorbells, &memory, NULL, ENODEV);
	layout->ended = 0;
	open_queue();
	refused(&doorbells, &memory, NULL, EBUSY);
}
END_TEST

START_TEST(wrong_slice_of_the_controllers_memory)
{
	layout->flags = NVME_LAYOUT_CMB;
	layout->sq_bar = 2;
	layout->sq = CMB_OFFSET;
	refused(&doorbells, &memory, NULL, EINVAL);
	layout->sq_bar = 4;
	refused(&doorbells, &memory, &cmb, EINVAL);
	layout->sq_bar = 2;
	layout->sq = CMB_OFFSET + PAGE - 64 * ENTRIES + 64;
	refused(&doorbells, &memory, &cmb, EINVAL);
	layout->sq = CMB_OFFSET - 64;
	refused(&doorbells, &memory, &cmb, EINVAL);
	layout->sq = CMB_OFFSET;
	open_queue();
}
END_TEST

/* ---- commands ---- */

START_TEST(writes_and_reads)
{
	memset(data, 'w', 4096);
	memset(data + 4096, 'x', 512);
	ck_assert_works(vdb_nvme_write(queue, NSID, 5, 9, data, 0xfeedfacecafebeef));
	ck_assert_uint_eq(fetch(), 0);
	expect_nothing();
	run();
	expect(0xfeedfacecafebeef, 0);
	ck_assert_int_eq(disk[5 << SHIFT], 'w');
	ck_assert_int_eq(disk[13 << SHIFT], 'x');
	ck_assert_int_eq(disk[14 << SHIFT], 0);
	ck_assert_works(vdb_nvme_read(queue, NSID, 13, 1, data + size - 512, 1));
	ck_assert_works(vdb_nvme_flush(queue, NSID, 2));
	ck_assert_uint_eq(vdb_nvme_outstanding(queue), 2);
	ck_assert_works(vdb_nvme_ring(queue));
	run();
	expect(1, 0);
	expect(2, 0);
	expect_nothing();
	ck_assert_int_eq(data[size - 1], 'x');
	ck_assert_uint_eq(fetched[2].opcode, NVME_FLUSH);
	ck_assert_uint_eq(vdb_nvme_outstanding(queue), 0);
}
END_TEST

/* The block's number has more than 32 bits. */
START_TEST(far_blocks)
{
	queue = (vdb_nvme_close(queue), NULL);
	describe(ENTRIES);
	layout->namespaces[1].blocks = 1ULL << 40;
	open_queue();
	ck_assert_works(vdb_nvme_read(queue, NSID, 0x8123456789, 1, data, 0));
	ck_assert_works(vdb_nvme_ring(queue));
	ck_assert_uint_eq(fetch(), 1);
	ck_assert_uint_eq(fetched[0].dword10, 0x23456789);
	ck_assert_uint_eq(fetched[0].dword11, 0x81);
	ck_assert_uint_eq(fetched[0].dword12, 0);
}
END_TEST

START_TEST(what_is_refused)
{
	ck_assert_fails(vdb_nvme_read(queue, 1, 0, 1, data, 0), EINVAL);
	ck_assert_fails(vdb_nvme_flush(queue, 0xffffffff, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 0, data, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 2049, data, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 0xffffffff, data, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 1, data + 2, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 1, data - 512, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 1, data + size, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 2, data + size - 512, 0), EINVAL);
	ck_assert_fails(vdb_nvme_read(queue, NSID, BLOCKS, 1, data, 0), ERANGE);
	ck_assert_fails(vdb_nvme_write(queue, NSID, BLOCKS - 1, 2, data, 0), ERANGE);
	ck_assert_fails(vdb_nvme_write(queue, NSID, UINT64_MAX, 1, data, 0), ERANGE);
	ck_assert_uint_eq(vdb_nvme_outstanding(queue), 0);
	ck_assert_works(vdb_nvme_write(queue, NSID, BLOCKS - 1, 1, data + size - 512, 0));
}
END_TEST

/* Everything about PRPs: each place in the data where something changes, and all lengths. */
START_TEST(transfers_of_all_sizes)
{
	static const uint64_t offsets[] = {
		0, 4, 512, 4092, 4096, 254 * PAGE, 255 * PAGE, 255 * PAGE + 8, 256 * PAGE, 511 * PAGE,
		511 * PAGE + 4092, 512 * PAGE,
	};
	static const uint32_t lengths[] = { 1, 7, 8, 9, 16, 17, 63, 2040, 2047, 2048 };
	static char copy[NVME_MAX_TRANSFER];
	char *from = data + offsets[_i];
	uint64_t tag = 0;

	for (size_t i = 0; i < size; i++)
		data[i] = rand();
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t bytes = (size_t)lengths[i] << SHIFT;

		memset(disk, 0, sizeof(disk));
		memcpy(copy, from, bytes);
		ck_assert_works(vdb_nvme_write(queue, NSID, 1, lengths[i], from, ++tag));
		ck_assert_works(vdb_nvme_ring(queue));
		run();
		expect(tag, 0);
		ck_assert_int_eq(memcmp(disk + 512, copy, bytes), 0);
		ck_assert_int_eq(disk[512 + bytes], 0);
		memset(from, 0, bytes);
		ck_assert_works(vdb_nvme_read(queue, NSID, 1, lengths[i], from, ++tag));
		ck_assert_works(vdb_nvme_ring(queue));
		run();
		expect(tag, 0);
		ck_assert_int_eq(memcmp(from, copy, bytes), 0);
	}
}
END_TEST

START_TEST(full_queue)
{
	for (unsigned int round = 0; round < 3; round++) {
		for (uint64_t tag = 0; tag < ENTRIES - 1; tag++)
			ck_assert_works(vdb_nvme_read(queue, NSID, tag, 1, data, tag));
		ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 1, data, 99), EAGAIN);
		ck_assert_fails(vdb_nvme_flush(queue, NSID, 99), EAGAIN);
		ck_assert_works(vdb_nvme_ring(queue));
		ck_assert_uint_eq(fetch(), ENTRIES - 1);
		run();
		for (uint64_t tag = 0; tag < ENTRIES - 1; tag++)
			expect(tag, 0);
		expect_nothing();
	}
}
END_TEST

/* Entries of an earlier round are not new ones. */
START_TEST(queues_wrap)
{
	struct vdb_nvme_completion completions[ENTRIES];
	uint64_t submitted = 0, reported = 0;

	while (reported < 500) {
		unsigned int burst = rand() % ENTRIES;
		int nr;

		while (burst-- && vdb_nvme_outstanding(queue) < vdb_nvme_depth(queue)) {
			ck_assert_works(vdb_nvme_read(queue, NSID, submitted, 1, data, submitted));
			submitted++;
		}
		if (rand() % 2)
			ck_assert_works(vdb_nvme_ring(queue));
		run();
		nr = vdb_nvme_poll(queue, completions, 1 + rand() % ENTRIES);
		ck_assert_int_ge(nr, 0);
		for (int i = 0; i < nr; i++)
			ck_assert_uint_eq(completions[i].tag, reported++);
		ck_assert_uint_eq(vdb_nvme_outstanding(queue), submitted - reported);
		ck_assert_uint_eq(doorbell(layout->cq_doorbell), reported % ENTRIES);
	}
}
END_TEST

START_TEST(completions_in_another_order)
{
	for (uint64_t tag = 0; tag < 5; tag++)
		ck_assert_works(vdb_nvme_read(queue, NSID, tag, 1, data, tag));
	ck_assert_works(vdb_nvme_ring(queue));
	ck_assert_uint_eq(fetch(), 5);
	post(fetched[3].id, 0);
	post(fetched[0].id, 0x4281);
	expect(3, 0);
	expect(0, 0x4281);
	expect_nothing();
	/* Their places are used again, those of the others are not. */
	ck_assert_works(vdb_nvme_read(queue, NSID, 0, 1, data, 5));
	ck_assert_works(vdb_nvme_read(queue, NSID, 0, 1, data, 6));
	ck_assert_works(vdb_nvme_ring(queue));
	ck_assert_uint_eq(fetch(), 2);
	for (unsigned int i = 0; i < 7; i++)
		for (unsigned int j = 1; j < i; j++)
			if (i != 3 && j != 3)
				ck_assert_uint_ne(fetched[i].id, fetched[j].id);
	post(fetched[5].id, 0);
	expect(5, 0);
}
END_TEST

/* Entries that are not of this client's commands. */
START_TEST(foreign_entries)
{
	ck_assert_works(vdb_nvme_flush(queue, NSID, 1));
	ck_assert_works(vdb_nvme_ring(queue));
	fetch();
	post(ENTRIES - 1, 0);
	post(0xffff, 0);
	post(fetched[0].id == 0 ? 1 : 0, 0);
	post(fetched[0].id, 0);
	post(fetched[0].id, 0);
	expect(1, 0);
	expect_nothing();
	ck_assert_uint_eq(vdb_nvme_outstanding(queue), 0);
}
END_TEST

/* ---- the end ---- */

/* The doorbells are revoked; what the controller completes after that is reported. */
START_TEST(revoked_doorbells)
{
	ck_assert_works(vdb_nvme_read(queue, NSID, 0, 1, data, 1));
	ck_assert_works(vdb_nvme_read(queue, NSID, 0, 1, data, 2));
	ck_assert_works(vdb_nvme_ring(queue));
	fetch();
	ck_assert_works(vdb_nvme_read(queue, NSID, 0, 1, data, 3));
	munmap(registers, PAGE);
	ck_assert_works(ftruncate(doorbells.fd, 0));
	ck_assert_fails(vdb_nvme_ring(queue), ENODEV);
	ck_assert_fails(vdb_nvme_ring(queue), ENODEV);
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 1, data, 4), ENODEV);
	ck_assert_fails(vdb_nvme_flush(queue, NSID, 4), ENODEV);
	expect_nothing();
	registers = calloc(1, PAGE);
	registers[(layout->cq_doorbell - PAGE) / 4] = ENTRIES / 2;
	post(fetched[1].id, 0x7);
	expect(2, 0x7);
	expect_nothing();
	layout->ended = 1;
	expect(1, VDB_NVME_LOST);
	expect(3, VDB_NVME_LOST);
	expect_end();
	expect_end();
	free(registers);
	registers = map(&memory);
}
END_TEST

/* The controller was reset: the doorbells are still there. */
START_TEST(ended_by_the_owner)
{
	struct vdb_nvme_completion completions[ENTRIES];

	for (uint64_t tag = 0; tag < 5; tag++)
		ck_assert_works(vdb_nvme_read(queue, NSID, tag, 1, data, tag));
	ck_assert_works(vdb_nvme_ring(queue));
	fetch();
	post(fetched[2].id, 0);
	ck_assert(!vdb_nvme_has_ended(queue));
	layout->ended = 1;
	ck_assert(vdb_nvme_has_ended(queue));
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 1, data, 9), ENODEV);
	ck_assert_fails(vdb_nvme_ring(queue), ENODEV);
	expect(2, 0);
	ck_assert_int_eq(vdb_nvme_poll(queue, completions, 3), 3);
	ck_assert_int_eq(vdb_nvme_poll(queue, completions, ENTRIES), 1);
	ck_assert_uint_eq(completions[0].status, VDB_NVME_LOST);
	expect_end();
}
END_TEST

static void make_hole(void)
{
	ck_assert_works(fallocate(memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MEMORY));
}

/*
 * The owner has freed the memory.  When the queue has wrapped, an empty entry has the phase
 * of a new one that reports success.
 */
START_TEST(memory_is_freed)
{
	for (unsigned int i = 0; i < (_i ? ENTRIES : 0u); i++) {
		ck_assert_works(vdb_nvme_flush(queue, NSID, 100 + i));
		ck_assert_works(vdb_nvme_ring(queue));
		run();
		expect(100 + i, 0);
	}
	ck_assert_works(vdb_nvme_read(queue, NSID, 0, 1, data, 7));
	ck_assert_works(vdb_nvme_ring(queue));
	ck_assert(!vdb_nvme_has_ended(queue));
	make_hole();
	ck_assert(vdb_nvme_has_ended(queue));
	ck_assert_fails(vdb_nvme_read(queue, NSID, 0, 1, data, 9), ENODEV);
	ck_assert_fails(vdb_nvme_ring(queue), ENODEV);
	expect(7, VDB_NVME_LOST);
	expect_end();
}
END_TEST

START_TEST(ended_by_the_program)
{
	ck_assert_works(vdb_nvme_flush(queue, NSID, 1));
	ck_assert_works(vdb_nvme_flush(queue, NSID, 2));
	ck_assert_works(vdb_nvme_ring(queue));
	fetch();
	post(fetched[1].id, 0);
	ck_assert(!vdb_nvme_has_ended(queue));
	vdb_nvme_end(queue);
	ck_assert(vdb_nvme_has_ended(queue));
	ck_assert_fails(vdb_nvme_flush(queue, NSID, 3), ENODEV);
	expect(2, 0);
	expect(1, VDB_NVME_LOST);
	expect_end();
}
END_TEST

START_TEST(submission_queue_in_the_controllers_memory)
{
	queue = (vdb_nvme_close(queue), NULL);
	describe(ENTRIES);
	layout->flags = NVME_LAYOUT_CMB | NVME_LAYOUT_INTERRUPT;
	layout->sq_bar = 2;
	layout->sq = CMB_OFFSET;
	open_queue();
	ck_assert(vdb_nvme_has_interrupt(queue));
	memset(data, 'c', 512);
	for (unsigned int i = 0; i < 3 * ENTRIES; i++) {
		ck_assert_works(vdb_nvme_write(queue, NSID, i, 1, data, i));
		ck_assert_works(vdb_nvme_ring(queue));
		run();
		expect(i, 0);
		ck_assert_int_eq(disk[i << SHIFT], 'c');
	}
	ck_assert_works(vdb_nvme_flush(queue, NSID, 1));
	ck_assert_works(ftruncate(cmb.fd, 0));
	ck_assert_fails(vdb_nvme_flush(queue, NSID, 2), ENODEV);
	ck_assert_uint_eq(vdb_nvme_outstanding(queue), 1);
	layout->ended = 1;
	expect(1, VDB_NVME_LOST);
	expect_end();
}
END_TEST

START_TEST(statuses)
{
	ck_assert_int_eq(vdb_nvme_status_errno(0), 0);
	ck_assert_int_eq(vdb_nvme_status_errno(VDB_NVME_LOST), ENODEV);
	ck_assert_int_eq(vdb_nvme_status_errno(0x008), ENODEV);
	ck_assert_int_eq(vdb_nvme_status_errno(0x4281), ENODATA);
	ck_assert_int_eq(vdb_nvme_status_errno(0x7ff), EIO);
	ck_assert_str_eq(vdb_nvme_status_text(0), "success");
	ck_assert_str_ne(vdb_nvme_status_text(VDB_NVME_LOST), "success");
	ck_assert_str_ne(vdb_nvme_status_text(0x7ff), "success");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("nvme_client");
	TCase *tc = add_group(s, "description");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, damaged_description, 0, sizeof(damages) / sizeof(damages[0]));
	tcase_add_test(tc, wrong_slices);
	tcase_add_test(tc, wrong_slice_of_the_controllers_memory);

	tc = add_group(s, "commands");
	tcase_add_checked_fixture(tc, setup_open, teardown);
	tcase_add_test(tc, reports_what_there_is);
	tcase_add_test(tc, writes_and_reads);
	tcase_add_test(tc, far_blocks);
	tcase_add_test(tc, what_is_refused);
	tcase_add_loop_test(tc, transfers_of_all_sizes, 0, 12);
	tcase_add_test(tc, full_queue);
	tcase_add_test(tc, queues_wrap);
	tcase_add_test(tc, completions_in_another_order);
	tcase_add_test(tc, foreign_entries);
	tcase_add_test(tc, submission_queue_in_the_controllers_memory);

	tc = add_group(s, "end");
	tcase_add_checked_fixture(tc, setup_open, teardown);
	tcase_add_test(tc, revoked_doorbells);
	tcase_add_test(tc, ended_by_the_owner);
	tcase_add_loop_test(tc, memory_is_freed, 0, 2);
	tcase_add_test(tc, ended_by_the_program);
	tcase_add_test(tc, statuses);
	return s;
}
