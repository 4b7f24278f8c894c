// SPDX-License-Identifier: MIT
/* The memory that all processes of the stress share. */
#define _GNU_SOURCE
#include "board.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "suite.h"

#define MEM		2	/* ivshmem's BAR that is plain memory */
#define NVME_VERSION	0x8	/* of the specification, a constant */
#define NVME_PAGES	(0x2000 / PAGE ?: 1)	/* with its doorbells */

struct board *board;

static const struct stress_device devices[NR_STRESS_DEVICES] = {
	{ .name = "IVSHMEM", .owner = 0, .bar = MEM, .does = DOES_MEMORY | DOES_REOPEN },
	{ .name = "IVSHMEM2", .owner = 1, .bar = MEM,
	  .does = DOES_MEMORY | DOES_REOPEN | DOES_UNBIND | DOES_REMOVE },
	{ .name = "HOT0", .owner = 2, .bar = MEM, .does = DOES_MEMORY | DOES_HOT | DOES_REOPEN },
	{ .name = "HOT1", .owner = 2, .bar = MEM, .does = DOES_MEMORY | DOES_HOT },
	{ .name = "NVME", .owner = 3, .bar = 0,
	  .does = DOES_MEMORY | DOES_D3 | DOES_LOW_POWER | DOES_RESET | DOES_FLR |
		  DOES_SYSFS | DOES_REOPEN },
};

/* Of two huge pages, these have room for one at any address. */
static void make_slots(struct slot slots[NR_SLOTS])
{
	const struct slot all[NR_SLOTS] = {
		{ .device = 0, .offset = 0, .pages = 2 * PMD_PAGES, .memory = true },
		{ .device = 0, .offset = 3 * PMD, .pages = 16, .memory = true },
		{ .device = 0, .offset = 3 * PMD + 16 * PAGE, .pages = 4, .memory = true },
		{ .device = 0, .offset = 3 * PMD + 32 * PAGE, .pages = 1, .memory = true },
		{ .device = 0, .offset = 3 * PMD + 48 * PAGE, .pages = 8, .memory = true, .importers = true },
		{ .device = 1, .offset = 0, .pages = PMD_PAGES, .memory = true },
		{ .device = 1, .offset = PMD, .pages = PMD_PAGES + 8, .memory = true },
		{ .device = 1, .offset = 3 * PMD, .pages = 16, .memory = true },
		{ .device = 1, .offset = 3 * PMD + 16 * PAGE, .pages = 2, .memory = true },
		{ .device = 2, .offset = 0, .pages = 16, .memory = true },
		{ .device = 2, .offset = 16 * PAGE, .pages = 4, .memory = true },
		{ .device = 2, .offset = 32 * PAGE, .pages = 8, .memory = true, .importers = true },
		{ .device = 3, .offset = 0, .pages = 16, .memory = true },
		{ .device = 3, .offset = 16 * PAGE, .pages = 4, .memory = true },
		/* Several slices of the same registers. */
		{ .device = 4, .offset = 0, .pages = 1, .at = NVME_VERSION, .expected = 0x10400 },
		{ .device = 4, .offset = 0, .pages = 1, .at = NVME_VERSION, .expected = 0x10400 },
		{ .device = 4, .offset = 0, .pages = NVME_PAGES, .at = NVME_VERSION, .expected = 0x10400 },
	};

	memcpy(slots, all, sizeof(all));
}

static const char *const failure_names[] = {
	[FAILED_STALE] = "stale accesses",
	[FAILED_THROUGH] = "accesses while suspended",
	[FAILED_REFUSED] = "accesses refused without a reason",
	[FAILED_ERRNO] = "failures by unexpected errno",
	[FAILED_HANG] = "hangs",
	[FAILED_OTHER] = "other failures",
};

void board_create(uint64_t seed)
{
	pthread_rwlockattr_t attr;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&board->bus, &attr);
	board->seed = seed;
	memcpy(board->devices, devices, sizeof(devices));
	make_slots(board->slots);
}

void board_forget_slices(void)
{
	struct slot *slot;

	for (slot = board->slots; slot < board->slots + NR_SLOTS; slot++) {
		slot->ending = slot->exported;
		slot->dead = slot->exported;
	}
	memset(board->workers, 0, sizeof(board->workers));
}

uint64_t board_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

const char *failure_name(enum failure kind)
{
	return failure_names[kind];
}

void board_fail(enum failure kind, const char *format, ...)
{
	va_list args;

	board->failures[kind]++;
	if (!atomic_exchange(&board->failed, true)) {
		va_start(args, format);
		vsnprintf(board->failure, sizeof(board->failure), format, args);
		va_end(args);
	}
	board->stop = true;
}

void generation_reach(_Atomic uint32_t *generation, uint32_t to)
{
	uint32_t now = *generation;

	while (now < to && !atomic_compare_exchange_weak(generation, &now, to))
		;
}

void rescan_begin(void)
{
	board->rescans++;
}

void rescan_end(void)
{
	board->rescanned = board_now();
	board->rescans++;
}

bool rescan_lately(void)
{
	return board->rescans % 2 ||
	       (board->rescans && board_now() - board->rescanned < 5000000000ULL);
}

void suspension_begin(unsigned int device)
{
	board->devices[device].begun++;
}

void suspension_end(unsigned int device)
{
	board->devices[device].ended++;
}

#define SUSPENDED	UINT32_MAX

uint32_t suspension_mark(unsigned int device)
{
	const struct stress_device *dev = &board->devices[device];
	/* In this order: if both are equal, there was none in progress. */
	uint32_t ended = dev->ended, begun = dev->begun;

	return begun == ended ? begun : SUSPENDED;
}

bool suspension_none(unsigned int device, uint32_t mark)
{
	return mark != SUSPENDED && board->devices[device].begun == mark;
}
