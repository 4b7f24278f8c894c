// SPDX-License-Identifier: MIT
/*
 * Page table entries that escape a zap: clients copy, move, drop and make entries
 * during a revocation or suspension.
 *
 * The place in the kernel matters where a client is at that moment.  So there are
 * several clients on one processor.  The next one has a higher priority and preempts
 * the one before at any place; the last one runs.  The owner is on the other processor.
 *
 * The memory behind the BAR shows what was reached.  The owner writes a stamp to
 * every page when the revocation has returned.  A client that can still read a page,
 * or whose mark the owner finds there, has reached the device after that.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "memory.h"
#include "page.h"
#include "pagetable.h"
#include "preempt.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)

#define WORKERS	12
#define MAX_VMAS	6
#define STAMP	0x5a5a0000u
#define MARK	0xbad0bad0u

static struct device big;

enum phase { STORM, TAKING, STAMPING, TAKEN };

/* In memory that all processes see. */
static struct shared {
	_Atomic uint32_t go;		/* workers that may start */
	_Atomic uint32_t phase;
	_Atomic int reached;		/* pages that could be read when TAKEN */
	_Atomic int under_way;		/* children that were being made when TAKING */
	int forked[WORKERS];		/* forks that had returned before TAKING */
} *shared;

static void wait_while(_Atomic uint32_t *word, uint32_t value)
{
	while (*word == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void wait_until_taken(void)
{
	for (uint32_t phase; (phase = shared->phase) != TAKEN; )
		wait_while(&shared->phase, phase);
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
	*word = value;
	syscall(SYS_futex, word, FUTEX_WAKE, 1000, NULL, NULL, 0);
}

/* What workers do with their mappings, again and again. */
struct storm {
	const char *name;
	void (*once[WORKERS])(void);	/* fewer than workers: from the first again */
	bool huge;			/* the entries */
	unsigned int vmas, entries;	/* of a worker, and of a VMA */
	unsigned int rounds;		/* at most */
};

#define ENOUGH	2	/* seconds, after which no further round begins */

static const struct storm *storm;
static size_t length;		/* of a mapping */
static int mapped_fd;
static off_t mapped_offset;

/* A worker's own. */
static int worker;
static void (*once)(void);
static char *maps[MAX_VMAS];

/* From one entry to the next. */
static size_t step(void)
{
	return storm->huge ? PMD : PAGE;
}

/* As many entries as the BAR has room for. */
static void set_length(void)
{
	size_t size = device_region(&big, MEM).size;

	length = storm->entries * step();
	if (length > size)
		length = size;
}

static bool map_at(int i, char *at)
{
	maps[i] = mmap(at, length, RW, MAP_SHARED | MAP_FIXED, mapped_fd,
		       mapped_offset);
	return maps[i] != MAP_FAILED;
}

/* Where a mapping has entries of 2 MiB, and none of 1 GiB; or small ones. */
static char *room_for_two(void)
{
	char *room = mmap(NULL, 3 * PUD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (char *)(((uintptr_t)room + PUD - 1) & -PUD) + PMD +
	       step() % PMD;
}

static void touch(const char *map)
{
	uint32_t value;

	for (size_t at = 0; at < length; at += step())
		try_read32(map + at, &value);
}

/*
 * Tries every page that the process has.  The kernel reads them, because its EFAULT
 * takes less time than a signal.
 */
static void look(void)
{
	int memfd = memfd_create("look", 0);

	for (int i = 0; i < (int)storm->vmas; i++)
		for (size_t at = 0; at < length; at += step()) {
			if (pwrite(memfd, maps[i] + at, sizeof(uint32_t), 0) < 0)
				continue;
			shared->reached++;
			try_write32(maps[i] + at, MARK);
		}
}

/*
 * The zap finds a child whose fork has returned before like any other process.
 * Only children that are being made at that moment look.
 */
static void fork_once(void)
{
	static int forks;
	pid_t pid;

	if (shared->phase > TAKING)
		return;
	forks++;
	pid = fork();
	if (pid) {
		if (shared->phase == STORM)
			shared->forked[worker] = forks;
		return;
	}
	wait_until_taken();
	if (forks > shared->forked[worker]) {
		shared->under_way++;
		look();
	}
	_exit(0);
}

static void move_once(void)
{
	static bool away;

	away = !away;
	for (int i = 0; i < (int)storm->vmas; i++) {
		char *to = away ? maps[i] + PUD : maps[i] - PUD;

		to = mremap(maps[i], length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		if (to != MAP_FAILED)
			maps[i] = to;
	}
}

static void drop_once(void)
{
	for (int i = 0; i < (int)storm->vmas; i++) {
		madvise(maps[i], length, MADV_DONTNEED);
		touch(maps[i]);
	}
}

static void map_once(void)
{
	for (int i = 0; i < (int)storm->vmas; i++) {
		char *at = maps[i];

		/* After the revocation it fails, and the old mapping is unmapped. */
		if (!map_at(i, at))
			maps[i] = at;
		touch(maps[i]);
	}
}

static void protect_once(void)
{
	for (int i = 0; i < (int)storm->vmas; i++) {
		mprotect(maps[i], length, PROT_READ);
		mprotect(maps[i] + length / 2, length / 2, PROT_NONE);
		mprotect(maps[i], length, RW);
		touch(maps[i]);
	}
}

static const struct storm storms[] = {
	{ "fork, huge", { fork_once }, true, 6, 256, 4 },
	{ "mapping, huge", { move_once, map_once, protect_once }, true, 2, 32, 2 },
	{ "faulting, huge", { drop_once }, true, 2, 32, 2 },
#define FIRST_SMALL 3
	{ "fork, small", { fork_once }, false, 2, 64, 1 },
	{ "mapping, small", { move_once, map_once, protect_once }, false, 2, 32, 2 },
	{ "faulting, small", { drop_once }, false, 2, 32, 2 },
};
#define NR_STORMS	(sizeof(storms) / sizeof(*storms))

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

#define PATIENCE	0.2	/* seconds */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/*
 * One that was stopped may hold i_mmap_rwsem, or be the first that waits for it,
 * and then the owner waits until it runs.  Those above give way, but not before the
 * owner has had time for all that it does otherwise.
 */
static void give_way(void)
{
	static double since;

	if (shared->phase == STORM)
		return;
	if (!since)
		since = now();
	if (now() - since > PATIENCE)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void work(int ready)
{
	struct sched_param above_the_last = { .sched_priority = 1 + worker };
	char byte = 0;
	int kinds = 0;

	while (kinds < WORKERS && storm->once[kinds])
		kinds++;
	once = storm->once[worker % kinds];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin_to(1);
	for (int i = 0; i < (int)storm->vmas; i++) {
		if (!map_at(i, room_for_two()))
			_exit(1);
		touch(maps[i]);
	}
	if (sched_setscheduler(0, SCHED_FIFO, &above_the_last) ||
	    write(ready, &byte, 1) != 1)
		_exit(1);
	for (uint32_t go; (go = shared->go) <= (uint32_t)worker; )
		wait_while(&shared->go, go);
	while (shared->phase != TAKEN) {
		once();
		give_way();
	}
	look();
	while (wait(NULL) > 0)
		;
	_exit(0);
}

static void start_workers(pid_t pids[WORKERS])
{
	int ready[2];
	char byte;

	shared->go = 0;
	shared->phase = STORM;
	memset(shared->forked, 0, sizeof(shared->forked));
	ck_assert_works(pipe(ready));
	for (worker = 0; worker < WORKERS; worker++) {
		pids[worker] = fork();
		ck_assert_works(pids[worker]);
		if (!pids[worker])
			work(ready[1]);
	}
	for (int i = 0; i < WORKERS; i++)
		ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
}

/*
 * One after the other.  Each must be stopped at a random place, so this waits for a
 * time and not for an event.
 */
static void let_workers_go(void)
{
	for (uint32_t go = 1; go <= WORKERS; go++) {
		set(&shared->go, go);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static void wait_for_workers(const pid_t pids[WORKERS])
{
	int status;

	for (int i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
}

static void stamp_pages(char *bar, uint32_t stamp)
{
	for (size_t at = 0; at < length; at += step())
		write32(bar + at, stamp);
}

static int pages_without(const char *bar, uint32_t stamp)
{
	int wrong = 0;

	for (size_t at = 0; at < length; at += step())
		wrong += read32(bar + at) != stamp;
	return wrong;
}

static void setup(void)
{
	device_open(&big, "IVSHMEM_BIG");
	shared = mmap(NULL, sizeof(*shared), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	pin_to(0);
}

/*
 * Revokes or suspends in the middle of a storm, and counts the accesses that reach the
 * device afterwards.
 */
static void storm_rounds(const struct storm *kind, bool bar_mapping)
{
	pid_t pids[WORKERS];
	double begin = now();
	int written = 0;
	char *bar;

	storm = kind;
	set_length();
	bar = device_map(&big, MEM, 0, length);
	ck_assert_works(madvise(bar, length, MADV_DONTFORK));
	for (int round = 0; round < (int)storm->rounds && now() - begin < ENOUGH; round++) {
		if (bar_mapping) {
			mapped_fd = big.fd;
			mapped_offset = device_region(&big, MEM).offset;
		} else {
			mapped_fd = slice_new(&big, MEM, 0, length);
		}
		start_workers(pids);
		let_workers_go();

		shared->phase = TAKING;
		if (bar_mapping) {
			device_set_memory(&big, false);
		} else {
			ck_assert_works(slice_revoke(&big, mapped_fd));
			shared->phase = STAMPING;
			stamp_pages(bar, STAMP + round);
		}
		set(&shared->phase, TAKEN);
		wait_for_workers(pids);
		if (bar_mapping) {
			device_set_memory(&big, true);
		} else {
			written += pages_without(bar, STAMP + round);
			close(mapped_fd);
		}
	}
	printf("# %s: %d children were being made\n", storm->name, shared->under_way);
	ck_assert_msg(!shared->reached && !written,
		      "%s: %d pages reached, %d of them written",
		      storm->name, shared->reached, written);
}

START_TEST(nothing_escapes_a_revocation)
{
	storm_rounds(&storms[_i], false);
}
END_TEST

START_TEST(nothing_escapes_a_suspension)
{
	storm_rounds(&storms[_i], true);
}
END_TEST

/*
 * copy_huge_pmd() reads the parent's entry without a lock and then sets the child's, so
 * the child can get an entry that was zapped in between.  No entry must be copied.
 */
START_TEST(fork_copies_no_huge_entry)
{
	bool bar_mapping = _i, inherited;
	int status, found = 0;
	pid_t pid;

	storm = &storms[0];
	set_length();
	mapped_fd = bar_mapping ? big.fd : slice_new(&big, MEM, 0, length);
	mapped_offset = bar_mapping ? device_region(&big, MEM).offset : 0;
	ck_assert(map_at(0, room_for_two()));
	touch(maps[0]);
	if (mapping_can_be_huge(!bar_mapping))
		ck_assert_uint_eq(page_entry(maps[0]).size, PMD);
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		for (size_t at = 0; at < length; at += PMD) {
			struct page_entry entry = page_entry(maps[0] + at);

			found |= entry.type != TYPE_NONE && entry.size > PAGE;
		}
		inherited = !try_write32(maps[0], STAMP);
		_exit(found | !inherited << 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(read32(maps[0]), STAMP);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("escape");
	TCase *tc = add_group(s, "memory");

	pagetable_init();
	tcase_add_unchecked_fixture(tc, preempt_anywhere, preempt_restore);
	tcase_add_checked_fixture(tc, setup, NULL);
	/* The loop variable is the storm. */
	tcase_add_loop_test(tc, nothing_escapes_a_revocation,
			    slice_can_be_huge() ? 0 : FIRST_SMALL, NR_STORMS);
	tcase_add_loop_test(tc, nothing_escapes_a_suspension,
			    mapping_can_be_huge(false) ? 0 : FIRST_SMALL, NR_STORMS);
	/* The loop variable is whether it is a BAR mapping. */
	tcase_add_loop_test(tc, fork_copies_no_huge_entry, 0, 2);
	return s;
}
