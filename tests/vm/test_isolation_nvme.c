// SPDX-License-Identifier: MIT
/*
 * What a client of an NVMe controller reaches (docs/isolation.md): with the page of
 * doorbells, with memory as well, and with the page of the controller's registers.  The
 * victim's queue and the owner's are used by the test itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "controller.h"
#include "dmar.h"
#include "owner.h"
#include "page.h"
#include "space.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)
#define VICTIM	1
#define ATTACKER 2
#define ERROR_EVENT	0x0	/* type of an asynchronous event */
#define ASYNC_EVENT	0xc	/* opcode of the command that waits for one */
#define INVALID_QUEUE	0x101	/* status */

static struct vdb_dma *dma;
static char *registers;
static struct nvme_queue admin;
static struct vdb_slice *admin_sq;

/* A queue with its memory, and a page of data. */
struct party {
	struct vdb_slice *sq, *cq, *data;
	char *page;		/* the owner's mapping of the data */
	struct nvme_queue queue;
};

static struct party victim;

/* The attacker, and what its process has: the test fills this in, and shares it. */
static struct client *client;
static struct vdb_slice *client_data;
static char *client_page;	/* the owner's mapping */
static struct shared {
	struct nvme_queue queue;
	char *data;
} *theirs;

static struct vdb_slice *alloc(unsigned int flags)
{
	return space_alloc(dma, PAGE, flags);
}

/* With new admin queues, which are empty. */
static void start_controller(unsigned int admin_flags)
{
	struct vdb_slice *cq = alloc(VDB_FLAG_READ_ONLY);

	admin_sq = alloc(admin_flags);
	nvme_queue_init(&admin, 0, owner_map(admin_sq, RW), owner_map(cq, PROT_READ),
			registers + NVME_DOORBELLS);
	controller_start(registers, vdb_slice_iova(admin_sq), vdb_slice_iova(cq));
}

static void open_controller(unsigned int admin_flags)
{
	theirs = mmap(NULL, sizeof(*theirs), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	client = client_start(CLIENT_NOBODY);
	owner_open("NVME");
	dma = space_of(owner);
	registers = owner_map(owner_export(0, 0, 2 * PAGE, 0), RW);
	ck_assert_works(vdb_device_set_bus_master(owner, true));
	start_controller(admin_flags);
}

static struct party party_start(unsigned int id)
{
	struct party p = {
		.sq = alloc(VDB_FLAG_DMA_READ_ONLY),
		.cq = alloc(VDB_FLAG_READ_ONLY),
		.data = alloc(0),
	};

	p.page = owner_map(p.data, RW);
	nvme_queue_init(&p.queue, id, owner_map(p.sq, RW), owner_map(p.cq, PROT_READ),
			registers + NVME_DOORBELLS);
	ck_assert_int_eq(nvme_create(&admin, id, vdb_slice_iova(p.sq), vdb_slice_iova(p.cq)), 0);
	return p;
}

static char *lend(const struct vdb_slice *slice, int prot)
{
	long address = client_mmap(client, vdb_slice_fd(slice), 0, PAGE, prot);

	ck_assert_int_ne(address, (long)MAP_FAILED);
	return (char *)address;
}

/* The attacker has the page of doorbells only. */
static void lend_doorbells(void)
{
	nvme_queue_init(&theirs->queue, ATTACKER, NULL, NULL,
			lend(owner_export(0, NVME_DOORBELLS, PAGE, 0), RW));
}

/* It has a queue and memory as well. */
static void lend_queue(void)
{
	struct party p = party_start(ATTACKER);

	client_data = p.data;
	client_page = p.page;
	nvme_queue_init(&theirs->queue, ATTACKER, lend(p.sq, RW), lend(p.cq, PROT_READ),
			lend(owner_export(0, NVME_DOORBELLS, PAGE, 0), RW));
	theirs->data = lend(p.data, RW);
}

static void setup(void)
{
	open_controller(VDB_FLAG_DMA_READ_ONLY);
	victim = party_start(VICTIM);
}

static void teardown(void)
{
	client_end(client);
}

/* ---- in the attacker ---- */

static long step_ring(const struct client_step *step)
{
	vdb_write32(theirs->queue.doorbells + step->arg[0], step->arg[1]);
	return 0;
}

static void rings(unsigned int doorbell, uint32_t value)
{
	ck_assert_works(client_call(client, step_ring, &(struct client_step){ { doorbell, value }, -1 }));
}

static long step_io(const struct client_step *step)
{
	return nvme_io(&theirs->queue, step->arg[0], step->arg[1], step->arg[2]);
}

/* The status. */
static long attacker_io(unsigned int opcode, uint64_t block, uint64_t iova)
{
	return client_call(client, step_io, &(struct client_step){ { opcode, (long)block, (long)iova }, -1 });
}

static long step_fill(const struct client_step *step)
{
	memset(theirs->data, step->arg[0], PAGE);
	return 0;
}

/* The attacker has the device write what its page has to any address. */
static long plant(uint64_t iova)
{
	const uint64_t block = 1000;

	ck_assert_int_eq(attacker_io(NVME_WRITE, block, vdb_slice_iova(client_data)), 0);
	return attacker_io(NVME_READ, block, iova);
}

static void attacker_fills(char with)
{
	ck_assert_works(client_call(client, step_fill, &(struct client_step){ { with }, -1 }));
}

/* ---- what the controller does ---- */

/* Until it has certainly looked at all doorbells that were written before. */
static void controller_goes_on(void)
{
	static struct vdb_slice *page;

	if (!page)
		page = alloc(0);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(nvme_identify(&admin, vdb_slice_iova(page)), 0);
}

static bool is_fatal(void)
{
	return vdb_read32(registers + NVME_CSTS) & NVME_CSTS_FATAL;
}

/* Reads a page of the disk, through a queue that nobody else uses. */
static void check_disk(struct party *reader, uint64_t block, char with)
{
	ck_assert_int_eq(nvme_io(&reader->queue, NVME_READ, block, vdb_slice_iova(reader->data)), 0);
	check_filled(reader->page, with, PAGE);
}

/* ---- doorbells ---- */

START_TEST(doorbells_of_many_queues_are_in_one_page)
{
	unsigned int stride = 4 << (vdb_read64(registers + NVME_CAP) >> 32 & 0xf);

	ck_assert_uint_eq(stride, 4);
	ck_assert_uint_ge(PAGE / stride / 2, 65);
}
END_TEST

/* What is still in the owner's queue is carried out again. */
START_TEST(admin_commands_are_repeated)
{
	struct vdb_slice *old = alloc(0);
	char *page = owner_map(old, RW);
	struct nvme_completion completion;
	unsigned int before;

	lend_doorbells();
	ck_assert_int_eq(nvme_identify(&admin, vdb_slice_iova(old)), 0);
	memset(page, 0, PAGE);
	before = admin.tail;
	/* All of the ring but the last command. */
	rings(NVME_SQ_TAIL(0), (before + NVME_QUEUE_LENGTH - 1) % NVME_QUEUE_LENGTH);
	for (unsigned int i = 0; i < NVME_QUEUE_LENGTH - 1; i++)
		ck_assert_int_ge(nvme_wait(&admin, &completion), 0);
	/* The one before the last creates the victim's queue. */
	check_filled(page, 0, PAGE);
	rings(NVME_SQ_TAIL(0), before);
	ck_assert_int_eq(nvme_wait(&admin, &completion), 0);
	ck_assert_int_eq(memcmp(page + 4, "lab0", 4), 0);
	ck_assert(!is_fatal());
}
END_TEST

/* An owner that overwrites what is done has nothing to be repeated. */
START_TEST(erased_commands_fail)
{
	struct vdb_slice *old = alloc(0);
	char *page = owner_map(old, RW);
	struct nvme_completion completion;

	lend_doorbells();
	ck_assert_int_eq(nvme_identify(&admin, vdb_slice_iova(old)), 0);
	memset(page, 0, PAGE);
	for (unsigned int i = 0; i < NVME_QUEUE_LENGTH; i++)
		nvme_fill(admin.commands + 16 * i, NVME_DELETE_SQ, 0, 0, 0xffff, 0, 0);
	rings(NVME_SQ_TAIL(0), (admin.tail + NVME_QUEUE_LENGTH - 1) % NVME_QUEUE_LENGTH);
	for (unsigned int i = 0; i < NVME_QUEUE_LENGTH - 1; i++)
		ck_assert_int_eq(nvme_wait(&admin, &completion) & 0x7ff, INVALID_QUEUE);
	rings(NVME_SQ_TAIL(0), admin.tail);
	ck_assert_int_eq(nvme_wait(&admin, &completion) & 0x7ff, INVALID_QUEUE);
	check_filled(page, 0, PAGE);
	ck_assert(!is_fatal());
}
END_TEST

/* A write that is carried out again brings back what was on the disk before. */
START_TEST(commands_of_another_client_are_repeated)
{
	struct party reader = party_start(3);
	struct vdb_slice *second = alloc(0);
	struct nvme_completion completion;

	lend_doorbells();
	memset(victim.page, 'a', PAGE);
	memset(owner_map(second, RW), 'b', PAGE);
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_WRITE, 0, vdb_slice_iova(victim.data)), 0);
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_WRITE, 0, vdb_slice_iova(second)), 0);
	check_disk(&reader, 0, 'b');
	/* All that was never used, and the first. */
	rings(NVME_SQ_TAIL(VICTIM), 1);
	for (unsigned int i = 0; i < NVME_QUEUE_LENGTH - 1; i++)
		ck_assert_int_ge(nvme_wait(&victim.queue, &completion), 0);
	check_disk(&reader, 0, 'a');
}
END_TEST

/* The controller believes that the victim's queue of completions is full. */
START_TEST(completions_of_another_client_are_held_back)
{
	struct nvme_completion completion;

	lend_doorbells();
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_READ, 0, vdb_slice_iova(victim.data)), 0);
	rings(NVME_CQ_HEAD(VICTIM), victim.queue.head + 1);
	nvme_fill(nvme_next(&victim.queue), NVME_READ, 7, vdb_slice_iova(victim.data), 0, 0, 7);
	nvme_ring(&victim.queue);
	controller_goes_on();
	ck_assert(!nvme_peek(&victim.queue, &completion));
	vdb_write32(registers + NVME_DOORBELLS + NVME_CQ_HEAD(VICTIM), victim.queue.head);
	ck_assert_int_ge(nvme_wait(&victim.queue, &completion), 0);
	ck_assert_uint_eq(completion.id, 7);
}
END_TEST

/* The controller reports them to its owner, if it waits for that. */
START_TEST(doorbells_that_are_not_valid)
{
	struct nvme_completion completion;

	lend_doorbells();
	for (int i = 0; i < 2; i++) {
		nvme_fill(nvme_next(&admin), ASYNC_EVENT, 9, 0, 0, 0, 0);
		nvme_ring(&admin);
		/* It reports nothing before it has the request. */
		controller_goes_on();
		if (i)
			rings(NVME_SQ_TAIL(0), 0xffff);
		else
			rings(NVME_SQ_TAIL(60), 1);
		ck_assert_int_eq(nvme_wait(&admin, &completion), 0);
		ck_assert_uint_eq(completion.id, 9);
		ck_assert_uint_eq(completion.result & 7, ERROR_EVENT);
		ck_assert_uint_eq(completion.result >> 8 & 0xff, i);
		/* Reading the log of errors allows the next event. */
		nvme_fill(nvme_next(&admin), 0x2, 10, vdb_slice_iova(victim.data), 15 << 16 | 1, 0, 0);
		nvme_ring(&admin);
		ck_assert_int_eq(nvme_wait(&admin, &completion), 0);
	}
	ck_assert(!is_fatal());
	controller_goes_on();
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_READ, 0, vdb_slice_iova(victim.data)), 0);
}
END_TEST

/* So a queue is deleted before its memory is revoked. */
START_TEST(queue_without_memory_stops_the_controller)
{
	struct party ended = party_start(3);
	bool deleted = _i;

	lend_doorbells();
	if (deleted)
		ck_assert_int_eq(nvme_delete_sq(&admin, 3), 0);
	ck_assert_works(vdb_dma_revoke(dma, ended.sq));
	rings(NVME_SQ_TAIL(3), 1);
	if (deleted) {
		controller_goes_on();
		ck_assert(!is_fatal());
		return;
	}
	for (int tries = 0; !is_fatal() && tries < 60000; tries++)
		usleep(1000);
	ck_assert(is_fatal());
}
END_TEST

/* ---- doorbells and memory ---- */

START_TEST(memory_of_another_client)
{
	lend_queue();
	memset(victim.page, 's', PAGE);
	ck_assert_int_eq(attacker_io(NVME_WRITE, 500, vdb_slice_iova(victim.data)), 0);
	ck_assert_int_eq(attacker_io(NVME_READ, 500, vdb_slice_iova(client_data)), 0);
	check_filled(client_page, 's', PAGE);
	attacker_fills('c');
	ck_assert_int_eq(plant(vdb_slice_iova(victim.data)), 0);
	check_filled(victim.page, 'c', PAGE);
}
END_TEST

START_TEST(blocks_of_another_client)
{
	lend_queue();
	memset(victim.page, 's', PAGE);
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_WRITE, 16, vdb_slice_iova(victim.data)), 0);
	ck_assert_int_eq(attacker_io(NVME_READ, 16, vdb_slice_iova(client_data)), 0);
	check_filled(client_page, 's', PAGE);
}
END_TEST

static void read_access(uint64_t iova, void *data)
{
	(void)data;
	attacker_io(NVME_WRITE, 800, iova);
}

static void write_access(uint64_t iova, void *data)
{
	(void)data;
	attacker_io(NVME_READ, 0, iova);
}

/* Nothing is mapped there.  The other queues go on. */
START_TEST(memory_of_nobody)
{
	const uint64_t iova = 0x123456000;

	lend_queue();
	dmar_check_fault(lab_bdf("NVME"), iova, read_access, NULL);
	dmar_check_fault(lab_bdf("NVME"), iova, write_access, NULL);
	ck_assert(!is_fatal());
	controller_goes_on();
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_READ, 0, vdb_slice_iova(victim.data)), 0);
}
END_TEST

/* A page of admin commands that delete the victim's queue, in the attacker's data. */
static long step_forge(const struct client_step *step)
{
	(void)step;
	for (unsigned int i = 0; i < NVME_QUEUE_LENGTH; i++)
		nvme_fill((uint32_t *)theirs->data + 16 * i, NVME_DELETE_SQ, 0xbad, 0, VICTIM, 0, 0);
	return 0;
}

/* The device writes the attacker's data to the owner's queue, as that of a read. */
START_TEST(admin_commands_are_forged)
{
	struct nvme_completion completion;

	victim = party_start(VICTIM);
	lend_queue();
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_READ, 0, vdb_slice_iova(victim.data)), 0);
	ck_assert_works(client_call(client, step_forge, &(struct client_step){ .fd = -1 }));
	ck_assert_int_eq(plant(vdb_slice_iova(admin_sq)), 0);
	rings(NVME_SQ_TAIL(0), (admin.tail + 1) % NVME_QUEUE_LENGTH);
	ck_assert_int_eq(nvme_wait(&admin, &completion), 0);
	ck_assert_uint_eq(completion.id, 0xbad);
	/* It is deleted. */
	nvme_next(&admin);
	ck_assert_int_eq(nvme_delete_sq(&admin, VICTIM) & 0x7ff, INVALID_QUEUE);
}
END_TEST

/*
 * The device can read the owner's queue, and clients' queues, but not write to them.
 * (That is a fault, which QEMU does not report here, as its IOTLB has an entry from a read.)
 */
START_TEST(queues_that_the_device_only_reads)
{
	const struct vdb_slice *queues[] = { admin_sq, victim.sq };
	char before[PAGE];

	lend_queue();
	ck_assert_works(client_call(client, step_forge, &(struct client_step){ .fd = -1 }));
	for (int i = 0; i < 2; i++) {
		char *page = owner_map(queues[i], RW);

		memcpy(before, page, PAGE);
		plant(vdb_slice_iova(queues[i]));
		ck_assert_int_eq(memcmp(before, page, PAGE), 0);
	}
	ck_assert_int_eq(nvme_io(&victim.queue, NVME_READ, 0, vdb_slice_iova(victim.data)), 0);
}
END_TEST

static long step_forge_completion(const struct client_step *step)
{
	struct nvme_completion *completion = (struct nvme_completion *)theirs->data + step->arg[0];

	memset(theirs->data, 0, PAGE);
	completion->id = 0xbad;
	completion->status = 1;
	return 0;
}

/* The device has to write completions, so nothing stops others from writing them. */
START_TEST(completions_are_forged)
{
	struct nvme_completion completion;

	lend_queue();
	ck_assert_works(client_call(client, step_forge_completion,
				    &(struct client_step){ { victim.queue.head }, -1 }));
	ck_assert(!nvme_peek(&victim.queue, &completion));
	ck_assert_int_eq(plant(vdb_slice_iova(victim.cq)), 0);
	ck_assert_int_eq(nvme_wait(&victim.queue, &completion), 0);
	ck_assert_uint_eq(completion.id, 0xbad);
}
END_TEST

/* ---- the page of the controller's registers ---- */

START_TEST(controller_is_disabled)
{
	long page = client_mmap(client, vdb_slice_fd(owner_export(0, 0, PAGE, 0)), 0, PAGE, RW);
	long read_only = client_mmap(client, vdb_slice_fd(owner_export(0, 0, PAGE, VDB_FLAG_READ_ONLY)), 0,
				     PAGE, PROT_READ);
	struct nvme_completion completion;

	ck_assert_int_eq(nvme_io(&victim.queue, NVME_READ, 0, vdb_slice_iova(victim.data)), 0);
	ck_assert_uint_eq(client_read32(client, read_only + NVME_CSTS), NVME_CSTS_READY);
	ck_assert_int_eq(client_try_write32(client, read_only + NVME_CC, 0), SIGSEGV);
	client_write32(client, page + NVME_CC, 0);
	ck_assert_uint_eq(vdb_read32(registers + NVME_CSTS) & NVME_CSTS_READY, 0);
	/* The queue of the victim no longer exists, also after the controller is started. */
	start_controller(VDB_FLAG_DMA_READ_ONLY);
	nvme_fill(nvme_next(&victim.queue), NVME_READ, 7, vdb_slice_iova(victim.data), 0, 0, 7);
	nvme_ring(&victim.queue);
	controller_goes_on();
	ck_assert(!nvme_peek(&victim.queue, &completion));
}
END_TEST

static void setup_writable_admin(void)
{
	open_controller(0);
}

Suite *suite(void)
{
	Suite *s = suite_create("isolation_nvme");
	TCase *tc = add_group(s, "doorbells");

	if (page_too_large()) {
		add_test_or_skip(tc, doorbells_of_many_queues_are_in_one_page, page_too_large());
		return s;
	}

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, doorbells_of_many_queues_are_in_one_page);
	tcase_add_test(tc, admin_commands_are_repeated);
	tcase_add_test(tc, erased_commands_fail);
	tcase_add_test(tc, commands_of_another_client_are_repeated);
	tcase_add_test(tc, completions_of_another_client_are_held_back);
	tcase_add_test(tc, doorbells_that_are_not_valid);
	tcase_add_loop_test(tc, queue_without_memory_stops_the_controller, 0, 2);

	tc = add_group(s, "memory");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, memory_of_another_client);
	tcase_add_test(tc, blocks_of_another_client);
	tcase_add_test(tc, memory_of_nobody);
	tcase_add_test(tc, queues_that_the_device_only_reads);
	tcase_add_test(tc, completions_are_forged);

	tc = add_group(s, "writable_admin_queue");
	tcase_add_checked_fixture(tc, setup_writable_admin, teardown);
	tcase_add_test(tc, admin_commands_are_forged);

	tc = add_group(s, "registers");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, controller_is_disabled);
	return s;
}
