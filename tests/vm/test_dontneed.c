// SPDX-License-Identifier: MIT
/*
 * One thread drops pages together with their page tables, while the accesses of two
 * others bring them in again: no access fails because of that.  This needs
 * processors that really run at the same time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "memory.h"
#include "page.h"
#include "pagetable.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
/* It ends after either of them. */
#define DROPS	20000
#define SECONDS	2

static struct device mem;
static char *map;
static _Atomic bool stop;
static _Atomic unsigned long drops;
static _Atomic unsigned long reads;

static void setup(void)
{
	device_open(&mem, "IVSHMEM");
}

static void pin_to(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *drop_pages(void *unused)
{
	pin_to(1);
	while (!stop) {
		ck_assert_works(madvise(map, PMD, MADV_DONTNEED));
		drops++;
	}
	return unused;
}

/* The kernel writes to the slice for us, and fails with EFAULT if it cannot. */
static void *count_failed_reads(void *failed)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	time_t end = time(NULL) + SECONDS;

	while (drops < DROPS && time(NULL) <= end) {
		if (read(zero, map + reads++ % 512 * PAGE, 4) == 4)
			continue;
		ck_assert_int_eq(errno, EFAULT);
		++*(_Atomic unsigned int *)failed;
	}
	close(zero);
	return NULL;
}

static void drop_while_reading(off_t offset, bool huge)
{
	int fd = slice_new(&mem, MEM, 0, 2 * PMD);
	char *room = mmap(NULL, 2 * PMD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	_Atomic unsigned int failed = 0;
	pthread_t dropper, reader;

	map = (char *)(((uintptr_t)room + PMD - 1) & -PMD);
	ck_assert_ptr_eq(mmap(map, PMD, RW, MAP_SHARED | MAP_FIXED, fd, offset), map);
	read32(map);
	ck_assert_uint_eq(page_entry(map).size, huge ? PMD : PAGE);
	ck_assert_int_eq(pthread_create(&reader, NULL, count_failed_reads, &failed), 0);
	ck_assert_int_eq(pthread_create(&dropper, NULL, drop_pages, NULL), 0);
	pin_to(0);
	count_failed_reads(&failed);
	stop = true;
	pthread_join(dropper, NULL);
	pthread_join(reader, NULL);
	printf("# pages dropped %lu times\n", drops);
	ck_assert_msg(!failed, "%u of %lu reads failed", failed, reads);
}

START_TEST(small_pages)
{
	drop_while_reading(PAGE, false);
}
END_TEST

START_TEST(huge_page)
{
	drop_while_reading(0, slice_can_be_huge());
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("dontneed");
	TCase *tc = add_group(s, "memory");

	pagetable_init();
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, small_pages);
	tcase_add_test(tc, huge_page);
	return s;
}
