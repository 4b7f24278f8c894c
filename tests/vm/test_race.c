// SPDX-License-Identifier: MIT
/*
 * Revocation and counting while clients read, fork or map at full speed; threads that
 * fault the same pages.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crowd.h"
#include "device.h"
#include "hammer.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "policy.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */

static struct device mem;

static void open_mem(void)
{
	device_open(&mem, "IVSHMEM");
}

static int try_page(const void *address)
{
	uint32_t value;

	return try_read32(address, &value);
}

/* Each round: readers at full speed, and not one read succeeds afterwards. */
START_TEST(readers_at_full_speed_are_stopped)
{
	const size_t length = 64 * PAGE;
	struct hammer *h[2];
	uint64_t good;
	int round, fd;
	size_t i;
	void *map;

	for (round = 0; round < 20; round++) {
		fd = slice_new(&mem, MEM, round * PAGE, length);
		map = slice_map(fd, 0, length);
		for (i = 0; i < 2; i++)
			h[i] = hammer_start(map, length, PAGE);
		for (i = 0; i < 2; i++)
			hammer_wait(h[i], 200 + 50 * round);

		ck_assert_works(slice_revoke(&mem, fd));
		/* A read before that may not be counted yet. */
		for (i = 0; i < 2; i++)
			hammer_wait(h[i], 2);
		good = hammer_good(h[0]) + hammer_good(h[1]);
		for (i = 0; i < 2; i++)
			hammer_wait(h[i], 200);
		ck_assert_uint_eq(hammer_good(h[0]) + hammer_good(h[1]), good);
		for (i = 0; i < 2; i++) {
			ck_assert_uint_gt(hammer_sigbus(h[i]), 0);
			hammer_end(h[i]);
		}
		ck_assert_works(munmap(map, length));
		close(fd);
	}
}
END_TEST

/*
 * fork() copies page table entries while the revocation walks the mappings. A process
 * that does nothing else makes the children. Each waits until the end of the revocation
 * is signalled, and then tries all pages.
 */
#define FORKED_PAGES 128

static void fork_and_try(const char *map, int start, int go, int result)
{
	char byte = 0;
	int page;

	for (page = 0; page < FORKED_PAGES; page++)
		try_page(map + page * PAGE);
	if (write(start, &byte, 1) != 1)
		_exit(1);
	while (fork() > 0) {
		struct timespec now = { 0 };

		/* Until the end is signalled; then the last child is enough. */
		if (sigtimedwait(&(sigset_t){ { 1UL << (SIGUSR1 - 1) } }, NULL,
				 &now) == SIGUSR1)
			_exit(0);
	}
	/* The end of the pipe, which has no writer. */
	if (read(go, &byte, 1) < 0)
		_exit(1);
	for (page = 0; page < FORKED_PAGES; page++)
		byte |= !try_page(map + page * PAGE);
	if (write(result, &byte, 1) != 1)
		_exit(1);
	_exit(0);
}

static void race_with_forks(void)
{
	int start[2], go[2], result[2], fd, children = 0;
	sigset_t usr1;
	char *map, byte;
	pid_t pid;

	ck_assert_works(pipe(start));
	ck_assert_works(pipe(go));
	ck_assert_works(pipe(result));
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	fd = slice_new(&mem, MEM, 0, FORKED_PAGES * PAGE);
	map = slice_map(fd, 0, FORKED_PAGES * PAGE);

	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		close(go[1]);
		close(result[0]);
		fork_and_try(map, start[1], go[0], result[1]);
	}
	close(result[1]);
	close(go[0]);
	ck_assert_int_eq(read(start[0], &byte, 1), 1);
	ck_assert_works(slice_revoke(&mem, fd));
	ck_assert_works(kill(pid, SIGUSR1));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(go[1]);
	while (read(result[0], &byte, 1) == 1) {
		ck_assert_msg(!byte, "child %d reads after revocation", children);
		children++;
	}
	ck_assert_int_gt(children, 0);
	close(result[0]);
	close(start[0]);
	close(start[1]);
	munmap(map, FORKED_PAGES * PAGE);
	close(fd);
}

START_TEST(forks_at_the_same_time_inherit_nothing)
{
	int round;

	for (round = 0; round < 10; round++)
		race_with_forks();
}
END_TEST

/*
 * Threads that touch the same blocks of 2 MiB, whose pages have just been zapped.  If
 * the kernel does not try a huge page, one thread can be inserting small pages where
 * another inserts a huge one.  Teardown finds the kernel's warning about that.
 */
#define BLOCKS		4
#define THREADS		4
#define TOUCH_ROUNDS	200

static pthread_barrier_t barrier;
static char *blocks;

static void *touch_blocks(void *thread)
{
	size_t page = (size_t)thread * 64 * PAGE;

	for (int round = 0; round < TOUCH_ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		for (int block = 0; block < BLOCKS; block++)
			*(volatile uint32_t *)(blocks + block * PMD + page);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

START_TEST(threads_meet_at_a_huge_page)
{
	int fd = slice_new(&mem, MEM, 0, BLOCKS * PMD);
	pthread_t threads[THREADS];
	char *room;

	room = mmap(NULL, (BLOCKS + 1) * PMD, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	blocks = (char *)(((uintptr_t)room + PMD - 1) & ~(PMD - 1));
	ck_assert_ptr_eq(mmap(blocks, BLOCKS * PMD, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fd, 0), blocks);
	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, touch_blocks, (void *)i), 0);
	for (int round = 0; round < TOUCH_ROUNDS; round++) {
		device_set_memory(&mem, false);
		device_set_memory(&mem, true);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

/*
 * Clients of one slice that map and unmap it, while the owner lists and suspends: the
 * driver's counts for the slice must be correct.
 */
#define MAPPERS		4
#define LISTINGS	50

static void map_and_unmap(int fd)
{
	char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		_exit(1);
	try_page(map);
	munmap(map, PAGE);
}

START_TEST(mappings_are_counted)
{
	int slice = slice_new(&mem, MEM, 0, PAGE), fds[MAPPERS];
	struct listed listed;
	struct crowd *mappers;

	for (int i = 0; i < MAPPERS; i++)
		fds[i] = slice;
	mappers = crowd_start(MAPPERS, map_and_unmap, fds);
	for (int round = 0; round < LISTINGS; round++) {
		crowd_wait(mappers);
		ck_assert_uint_eq(listing_read(mem.bdf, &listed, 1), 1);
		ck_assert_uint_le(listed.mappings, MAPPERS);
		device_set_memory(&mem, round % 2);
	}
	crowd_end(mappers);
	ck_assert_uint_eq(listing_read(mem.bdf, &listed, 1), 1);
	ck_assert_uint_eq(listed.mappings, 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("race");
	TCase *tc = add_group(s, "revoke");

	tcase_add_checked_fixture(tc, open_mem, NULL);
	tcase_add_test(tc, readers_at_full_speed_are_stopped);
	tcase_add_test(tc, forks_at_the_same_time_inherit_nothing);
	tcase_add_test(tc, mappings_are_counted);

	tc = add_group(s, "fault");
	tcase_add_unchecked_fixture(tc, policy_never, policy_restore);
	tcase_add_checked_fixture(tc, open_mem, NULL);
	tcase_add_test(tc, threads_meet_at_a_huge_page);
	return s;
}
