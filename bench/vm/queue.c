// SPDX-License-Identifier: MIT
/*
 * What a read of 4 KiB from an NVMe drive costs: on a queue that is lent to an unprivileged
 * client, on the owner's own queue, and through the kernel; and what lending a queue costs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include <vfio-dmabuf-nvme.h>

#include "client.h"
#include "idle.h"
#include "kernel_disk.h"
#include "owner.h"
#include "queues/lent.h"
#include "sample.h"
#include "suite.h"
#include "sysfs.h"

#define DEVICE	"NVME"
#define DEPTH	32u
#define MOST	8u		/* clients */
#define DATA	(DEPTH * DISK_READ)
#define AREA	(32u << 20)	/* of the drive, that is read */

/* ---- in the process that has a queue: each of these returns instructions ---- */

static struct vdb_nvme *queue;
static char *data;
static uint32_t nsid, blocks;
static uint64_t at;

static long step_open(const struct client_step *step)
{
	struct vdb_slice *doorbells = vdb_slice_from_fd(step->arg[0], -1, NULL, 0, 0x1000, 0);
	struct vdb_slice *memory = vdb_memory_from_fd(step->arg[1], step->arg[2], 0);
	char error[VDB_ERROR_SIZE];
	size_t size;

	if (!doorbells || !memory || vdb_guard_enable())
		return -1;
	queue = vdb_nvme_open(doorbells, memory, NULL, error);
	if (!queue) {
		fprintf(stderr, "%s\n", error);
		return -1;
	}
	data = vdb_nvme_data(queue, &size);
	nsid = vdb_nvme_namespace(queue, 0)->id;
	blocks = DISK_READ / vdb_nvme_namespace(queue, 0)->block_size;
	return size >= DATA ? 0 : -1;
}

static long step_submit(const struct client_step *step)
{
	uint64_t begin = instructions();

	for (long i = 0; i < step->arg[0]; i++) {
		if (vdb_nvme_read(queue, nsid, at, blocks, data + i * DISK_READ, i))
			return -1;
		at = (at + blocks) % (AREA / DISK_READ * blocks);
	}
	if (vdb_nvme_ring(queue))
		return -1;
	return instructions() - begin;
}

/* Polls that find nothing do not count: they are instead of waiting. */
static long step_reap(const struct client_step *step)
{
	struct vdb_nvme_completion completions[DEPTH];
	uint64_t sum = 0;

	for (long left = step->arg[0]; left;) {
		uint64_t begin = instructions();
		int nr = vdb_nvme_poll(queue, completions, DEPTH);
		uint64_t end = instructions();

		if (nr < 0)
			return -1;
		if (!nr) {
			usleep(100);
			continue;
		}
		for (int i = 0; i < nr; i++)
			if (completions[i].status)
				return -1;
		sum += end - begin;
		left -= nr;
	}
	return sum;
}

#define EMPTY	1000	/* polls */

static void run_empty(const void *side, uint64_t *counts)
{
	struct vdb_nvme_completion completions[DEPTH];
	uint64_t begin = instructions();

	(void)side;
	for (int i = 0; i < EMPTY; i++)
		vdb_nvme_poll(queue, completions, DEPTH);
	counts[0] = instructions() - begin;
}

/* ---- the sides ---- */

struct side {
	unsigned int nr;		/* clients; 0: the owner itself */
	unsigned int depth;
	struct client *clients[MOST];
};

static uint64_t call(const struct side *side, unsigned int client, client_fn *fn)
{
	const struct client_step step = { .arg = { side->depth }, .fd = -1 };
	long ret = side->nr ? client_call(side->clients[client], fn, &step) : fn(&step);

	ck_assert_works(ret);
	return ret;
}

static void run_queue(const void *what, uint64_t *counts)
{
	const struct side *side = what;
	unsigned int nr = side->nr ?: 1;

	counts[0] = 0;
	/* All have commands outstanding at the same time. */
	for (unsigned int i = 0; i < nr; i++)
		counts[0] += call(side, i, step_submit);
	for (unsigned int i = 0; i < nr; i++)
		counts[0] += call(side, i, step_reap);
}

static void run_kernel(const void *what, uint64_t *counts)
{
	const struct side *side = what;
	uint64_t begin = busy_instructions();

	if (side->depth)
		disk_uring(at, side->depth);
	else
		disk_pread(at);
	counts[0] = busy_instructions() - begin;
	at = (at + DATA) % AREA;
}

static struct lent queues[MOST + 1];

static void lend_to(struct client **client, const struct lent *lent)
{
	const struct sched_param first = { .sched_priority = 1 };
	struct client_step step = { .arg = { 0, 0, vdb_slice_iova(lent->memory) }, .fd = -1 };

	*client = client_start(CLIENT_NOBODY);
	/* It is not interrupted by others while it counts. */
	ck_assert_works(sched_setscheduler((*client)->pid, SCHED_FIFO, &first));
	step.arg[0] = client_give(*client, vdb_slice_fd(lent->doorbells));
	step.arg[1] = client_give(*client, vdb_slice_fd(lent->memory));
	ck_assert_works(client_call(*client, step_open, &step));
}

static void open_own(const struct lent *lent)
{
	const struct client_step step = { .arg = {
		fcntl(vdb_slice_fd(lent->doorbells), F_DUPFD_CLOEXEC, 0),
		fcntl(vdb_slice_fd(lent->memory), F_DUPFD_CLOEXEC, 0),
		vdb_slice_iova(lent->memory) }, .fd = -1 };

	ck_assert_works(step_open(&step));
}

/* ---- lending ---- */

static void run_lend_queue(const void *side, uint64_t *counts)
{
	uint64_t begin = busy_instructions();
	struct lent lent;

	(void)side;
	lent_create(&lent, MOST + 2, 64, DATA);
	lent_end(&lent);
	counts[0] = busy_instructions() - begin;
}

static void run_lend_slice(const void *side, uint64_t *counts)
{
	uint64_t begin = busy_instructions();
	struct vdb_slice *slice = owner_export(0, 0x1000, 0x1000, 0);

	(void)side;
	ck_assert_works(vdb_slice_watch(owner, slice));
	ck_assert_works(vdb_slice_revoke(owner, slice));
	vdb_slice_free(slice);
	counts[0] = busy_instructions() - begin;
}

/* ---- all of it ---- */

static const unsigned int depths[] = { 1, DEPTH };

static void measure_kernel(void)
{
	struct measurement m = { .run = run_kernel, .batches = 4, .runs = 50 };
	struct side side = { 0 };

	disk_open(DEVICE);
	m.names[0] = "nvme-pread";
	measure_one(&m, "base", &side);
	m.names[0] = "nvme-uring-1";
	side.depth = 1;
	measure_one(&m, "base", &side);
	m.names[0] = "nvme-uring-32";
	side.depth = m.each = DEPTH;
	measure_one(&m, "base", &side);
	disk_close(DEVICE);
}

/* The kernel's side was measured before, as both cannot have the device. */
static void measure_clients(const struct side *lent)
{
	static const char *const names[][2] = { { "nvme-uring-1", "nvme-uring-32" }, { "nvme-pread", NULL } };
	static const char *const against_owner[] = { "nvme-owner-1", "nvme-owner-32" };
	static const char *const crowds[] = { "nvme-clients-2", "nvme-clients-4", "nvme-clients-8" };
	struct measurement m = { .run = run_queue, .batches = 4, .runs = 50 };
	struct side one = *lent, own = { 0 }, many = *lent;

	one.nr = 1;
	for (int i = 0; i < 2; i++) {
		one.depth = own.depth = m.each = depths[i];
		m.names[0] = against_owner[i];
		measure(&m, &one, &own);
		for (int k = 0; k < 2; k++) {
			m.names[0] = names[k][i];
			if (m.names[0])
				measure_one(&m, "ours", &one);
		}
	}
	for (int i = 0; i < 3; i++) {
		many.nr = 2u << i;
		many.depth = DEPTH;
		m.names[0] = crowds[i];
		m.each = DEPTH;
		measure_one(&m, "base", &one);
		m.each = DEPTH * many.nr;
		measure_one(&m, "ours", &many);
	}
}

START_TEST(reads)
{
	const struct measurement lend = {
		.names = { "nvme-lend" }, .run = run_lend_queue, .batches = 4, .runs = 20,
	};
	const struct measurement slice = {
		.names = { "nvme-lend" }, .run = run_lend_slice, .batches = 4, .runs = 20,
	};
	const struct measurement empty = {
		.names = { "nvme-empty" }, .run = run_empty, .batches = 4, .runs = 50, .each = EMPTY,
	};
	struct side side = { 0 };

	idle_start();
	measure_kernel();
	at = 0;
	lent_open(DEVICE);
	for (unsigned int i = 0; i <= MOST; i++)
		lent_create(&queues[i], i + 1, 64, DATA);
	for (unsigned int i = 0; i < MOST; i++)
		lend_to(&side.clients[i], &queues[i]);
	open_own(&queues[MOST]);
	measure_clients(&side);
	measure_one(&empty, "ours", NULL);
	measure_one(&lend, "ours", NULL);
	measure_one(&slice, "base", NULL);
	for (unsigned int i = 0; i < MOST; i++)
		client_end(side.clients[i]);
	for (unsigned int i = 0; i <= MOST; i++)
		lent_end(&queues[i]);
	lent_close();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("queue");

	tcase_add_test(add_group(s, "nvme"), reads);
	return s;
}
