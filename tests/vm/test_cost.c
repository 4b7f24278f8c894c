// SPDX-License-Identifier: MIT
/*
 * The cost of suspensions and revocations does not depend on what clients have: exports
 * without importers, and waiters on event files.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "buffers.h"
#include "device.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM		2	/* ivshmem's BAR that is plain memory */
#define SUSPENSIONS	100
#define REVOCATION	20	/* suspensions that it may cost */
#define MOST		3	/* times that many others may make it */
#define IDLE		10000
#define SETS		300
#define DUPS		100

/* Processors for kernel threads that work for anyone, as a mask. */
#define WORKERS		"/sys/devices/virtual/workqueue/cpumask"

static struct device dev;
static int slice;
static char workers[64];

/*
 * The owner and the kernel's workers share a processor.  If they have one each, and a
 * thread of QEMU's lets processors take turns, the owner's time runs on while the worker's
 * processor has its turn.
 */
static void setup_group(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (file_read(WORKERS, workers, sizeof(workers)) <= 0 || file_write(WORKERS, "1") ||
	    sched_setaffinity(0, sizeof(first), &first))
		ck_abort_msg("%s: %s", WORKERS, strerror(errno));
}

static void teardown_group(void)
{
	file_write(WORKERS, workers);
}

static void setup(void)
{
	const struct rlimit many = { IDLE + 1000, IDLE + 1000 };

	ck_assert_works(setrlimit(RLIMIT_NOFILE, &many));
	device_open(&dev, "IVSHMEM");
	slice = slice_new(&dev, MEM, 0, PAGE);
}

/* Of this thread: what clients make the kernel do elsewhere is their affair. */
static double processor_time(void)
{
	struct timespec t;

	ck_assert_works(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t));
	return t.tv_sec + t.tv_nsec / 1e9;
}

/*
 * The minimum of many: other guests on the host only add to the time, and few short
 * measurements are undisturbed.
 */
static double time_suspension(void)
{
	double least = 1e9;

	for (int i = 0; i < SUSPENSIONS; i++) {
		double begin = processor_time(), time;

		device_set_memory(&dev, false);
		device_set_memory(&dev, true);
		time = processor_time() - begin;
		least = time < least ? time : least;
	}
	return least;
}

static double time_revocation(void)
{
	double begin = processor_time();

	ck_assert_works(slice_revoke(&dev, slice));
	return processor_time() - begin;
}

static void compare(double alone, const char *beside_what, unsigned int many)
{
	double beside = time_suspension(), revoke = time_revocation();

	printf("# a suspension takes the owner %.5f s, with %u %s %.5f s; a revocation %.5f s\n",
	       alone, many, beside_what, beside, revoke);
	ck_assert_msg(beside < MOST * alone, "a suspension takes %.5f s, with %u %s %.5f s",
		      alone, many, beside_what, beside);
	ck_assert_msg(revoke < REVOCATION * alone, "a revocation takes %.5f s with %u %s, a suspension alone takes %.5f s",
		      revoke, many, beside_what, alone);
}

START_TEST(idle_exports)
{
	double alone = time_suspension();

	for (int i = 0; i < IDLE; i++)
		slice_new(&dev, MEM, 0, PAGE);
	/* Ten times, if each were visited. */
	compare(alone, "idle exports", IDLE);
}
END_TEST

/* One event file, many descriptors of it, each in many epoll sets. */
static void wait_often(int events)
{
	int dups[DUPS];

	for (int i = 0; i < DUPS; i++)
		ck_assert_works(dups[i] = dup(events));
	for (int set = 0; set < SETS; set++) {
		int fd = epoll_create1(EPOLL_CLOEXEC);

		ck_assert_works(fd);
		for (int i = 0; i < DUPS; i++) {
			struct epoll_event event = { .events = EPOLLIN };

			ck_assert_works(epoll_ctl(fd, EPOLL_CTL_ADD, dups[i], &event));
		}
	}
}

START_TEST(waiters)
{
	int events = buffer_events(&dev, slice, 0, O_CLOEXEC | O_NONBLOCK);
	struct vfio_dmabuf_event event;
	double alone;

	ck_assert_int_eq(read(events, &event, sizeof(event)), sizeof(event));
	alone = time_suspension();
	wait_often(events);
	/* Five times and more, if each were woken. */
	compare(alone, "waiters", SETS * DUPS);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("cost");
	TCase *tc = add_group(s, "owner");

	tcase_add_unchecked_fixture(tc, setup_group, teardown_group);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, idle_exports);
	tcase_add_test(tc, waiters);
	return s;
}
