// SPDX-License-Identifier: MIT
/*
 * What one fault brings in: all pages of the range in its block of 2 MiB of
 * addresses, or a huge page, and never a wrong page.  Counted by the driver's
 * own trace events.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "memory.h"
#include "page.h"
#include "pagetable.h"
#include "policy.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define GIB	(1UL << 30)
#define RW	(PROT_READ | PROT_WRITE)

typedef struct vfio_region_dma_range range_t;

static struct device mem;

/* What the BAR's page shows in each test: its number, and a mark. */
static uint32_t mark(uint64_t bar_page)
{
	return 0x5a000000 + bar_page;
}

static void mark_bar(void)
{
	const uint64_t pages = device_bar_size(&mem, MEM) / PAGE;
	char *bar = device_map(&mem, MEM, 0, pages * PAGE);
	uint64_t page;

	for (page = 0; page < pages; page++)
		write32(bar + page * PAGE, mark(page));
	munmap(bar, pages * PAGE);
}

static void setup(void)
{
	device_open(&mem, "IVSHMEM");
	mark_bar();
}

/* Room for @length bytes at @offset after an address that is a multiple of @align. */
static char *room_at(size_t align, size_t offset, size_t length)
{
	char *room = mmap(NULL, align + offset + length, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(room, MAP_FAILED);
	return (char *)(((uintptr_t)room + align - 1) & -align) + offset;
}

static char *map_at(char *address, int fd, uint64_t offset, size_t length)
{
	ck_assert_ptr_eq(mmap(address, length, RW, MAP_SHARED | MAP_FIXED, fd,
			      (off_t)offset), address);
	return address;
}

/* The two kinds of mapping of a part of the BAR. */
static char *map_kind(int slice, char *address, uint64_t offset, size_t length)
{
	if (slice)
		return map_at(address, slice_new(&mem, MEM, offset, length), 0,
			      length);
	return map_at(address, mem.fd, device_region(&mem, MEM).offset + offset,
		      length);
}

static void check_pages(const char *map, size_t length, uint64_t bar_page)
{
	size_t at;

	for (at = 0; at < length; at += PAGE)
		if (read32(map + at) != mark(bar_page + at / PAGE))
			ck_abort_msg("page %zu of the mapping is not BAR page %lu",
				     at / PAGE, bar_page + at / PAGE);
}

static unsigned int faults_of_order(unsigned int order)
{
	char match[32];

	snprintf(match, sizeof(match), " order=%u ", order);
	return trace_count("buffer_fault", match);
}

/*
 * Checks that huge faults declined in favour of small ones are not counted.  A
 * mapping that cannot be huge gets the same pages as small ones, in one fault.
 */
static void check_faults(int slice, unsigned int small, unsigned int huge)
{
	if (!mapping_can_be_huge(slice)) {
		small += huge;
		huge = 0;
	}
	ck_assert_uint_eq(faults_of_order(0), small);
	ck_assert_uint_eq(faults_of_order(__builtin_ctzl(PMD_PAGES)), huge);
}

/*
 * 511 pages that are aligned neither in the BAR nor in memory, at addresses
 * within one block or across two.
 */
START_TEST(unaligned_part_costs_a_fault_for_each_block)
{
	const struct {
		size_t offset;	/* after a multiple of PMD */
		unsigned int faults;
	} places[] = { { 0, 1 }, { PAGE, 1 }, { 2 * PAGE, 2 }, { PMD / 2, 2 },
		       { PMD - PAGE, 2 } };
	const size_t length = PMD - PAGE;
	size_t i;
	char *map;

	for (i = 0; i < sizeof(places) / sizeof(*places); i++) {
		map = map_kind(_i, room_at(PMD, places[i].offset, length),
			       7 * PAGE, length);
		trace_start();
		check_pages(map, length, 7);
		check_faults(_i, places[i].faults, 0);
	}
}
END_TEST

START_TEST(first_access_may_be_to_any_page)
{
	static const unsigned int first[] = { 0, 1, 100, 254, 255, 256, 510 };
	const size_t length = PMD - PAGE;
	size_t i;
	char *map;

	for (i = 0; i < sizeof(first) / sizeof(*first); i++) {
		map = map_kind(_i, room_at(PMD, PMD / 2, length), 7 * PAGE,
			       length);
		trace_start();
		read32(map + first[i] * PAGE);
		check_faults(_i, 1, 0);
		check_pages(map, length, 7);
		check_faults(_i, 2, 0);
	}
}
END_TEST

START_TEST(aligned_part_is_huge)
{
	char *map = map_kind(_i, room_at(PMD, 0, 3 * PMD), PMD, 3 * PMD);
	struct trace_event *events;
	size_t nr;

	trace_start();
	check_pages(map, 3 * PMD, PMD_PAGES);
	check_faults(_i, 0, 3);

	nr = trace_read(&events);
	ck_assert_uint_eq(nr, 3);
	ck_assert_uint_eq(trace_number(&events[0], "offset"), PMD);
	ck_assert_uint_eq(trace_number(&events[0], "pages"), PMD_PAGES);
	ck_assert_uint_eq(trace_number(&events[2], "offset"), 3 * PMD);
	free(events);
}
END_TEST

START_TEST(incongruent_part_is_not_huge)
{
	char *map = map_kind(_i, room_at(PMD, PAGE, 2 * PMD), 0, 2 * PMD);

	trace_start();
	check_pages(map, 2 * PMD, 0);
	check_faults(_i, 3, 0);
}
END_TEST

/*
 * Small pages on both sides of a huge one, touched in all orders: filling the
 * small ones must stop at the huge one, which may be there already.
 */
START_TEST(small_and_huge_neighbours_do_not_meet)
{
	static const int orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	const size_t edge = 16 * PAGE, length = edge + PMD + edge;
	const size_t spots[] = { edge - PAGE, edge + PMD / 2, edge + PMD };
	size_t i, j;
	char *map;

	for (i = 0; i < 6; i++) {
		map = map_kind(_i, room_at(PMD, PMD - edge, length),
			       PMD - edge, length);
		trace_start();
		for (j = 0; j < 3; j++)
			read32(map + spots[orders[i][j]]);
		check_faults(_i, 2, 1);
		check_pages(map, length, (PMD - edge) / PAGE);
		check_faults(_i, 2, 1);
		munmap(map, length);
	}
}
END_TEST

/* Splitting a huge mapping drops the huge page; small ones take its place. */
START_TEST(hole_in_a_huge_page)
{
	char *map = map_kind(_i, room_at(PMD, 0, PMD), PMD, PMD);
	uint32_t value;

	read32(map);
	ck_assert_int_eq(munmap(map + 64 * PAGE, PAGE), 0);
	check_pages(map, 64 * PAGE, PMD_PAGES);
	check_pages(map + 65 * PAGE, PMD - 65 * PAGE, PMD_PAGES + 65);
	ck_assert_int_eq(try_read32(map + 64 * PAGE, &value), SIGSEGV);
}
END_TEST

START_TEST(part_of_the_mapping_does_not_reach_beyond_it)
{
	struct trace_event *events;
	char *map = map_kind(_i, room_at(PMD, 0, PMD), 0, PMD);

	/* The VMA's ends, not the range's, limit the fault here. */
	ck_assert_int_eq(munmap(map, 100 * PAGE), 0);
	ck_assert_int_eq(munmap(map + 200 * PAGE, PMD - 200 * PAGE), 0);
	trace_start();
	read32(map + 150 * PAGE);
	ck_assert_uint_eq(trace_read(&events), 1);
	ck_assert_uint_eq(trace_number(&events[0], "offset"), 100 * PAGE);
	ck_assert_uint_eq(trace_number(&events[0], "pages"), 100);
	free(events);
	check_pages(map + 100 * PAGE, 100 * PAGE, 100);
}
END_TEST

START_TEST(write_faults_like_a_read)
{
	const size_t length = 8 * PAGE;
	char *map = map_kind(_i, room_at(PMD, 0, length), 3 * PAGE, length);
	uint32_t value;

	trace_start();
	write32(map + 2 * PAGE, 0x1234);
	write32(map + 5 * PAGE + 4, 0x5678);
	check_faults(_i, 1, 0);
	ck_assert_int_eq(device_peek(&mem, MEM, 5 * PAGE, &value, 4), 0);
	ck_assert_uint_eq(value, 0x1234);
	ck_assert_int_eq(device_peek(&mem, MEM, 8 * PAGE + 4, &value, 4), 0);
	ck_assert_uint_eq(value, 0x5678);
}
END_TEST

/* One fault brings in one run: pages that are neighbours in buffer and BAR. */
START_TEST(each_run_of_a_slice_costs_a_fault)
{
	const range_t ranges[] = {
		{ 64 * PAGE, 8 * PAGE },	/* runs on in the next: one run */
		{ 72 * PAGE, 8 * PAGE },
		{ 1 * PAGE, 4 * PAGE },
		{ 1 * PAGE, 4 * PAGE },
		{ 0, PAGE },
	};
	static const struct { size_t pages, bar_page; } runs[] = {
		{ 16, 64 }, { 4, 1 }, { 4, 1 }, { 1, 0 },
	};
	int fd = slice_export(&mem, MEM, O_RDWR, ranges, 5);
	char *map;
	size_t i;

	ck_assert_works(fd);
	map = map_at(room_at(PMD, 0, 25 * PAGE), fd, 0, 25 * PAGE);
	trace_start();
	for (i = 0; i < 4; i++) {
		check_pages(map, runs[i].pages * PAGE, runs[i].bar_page);
		check_faults(1, i + 1, 0);
		map += runs[i].pages * PAGE;
	}
}
END_TEST

/* A huge page needs all of its pages in one run. */
START_TEST(runs_are_huge_where_they_can_be)
{
	const range_t ranges[] = {
		{ 2 * PMD, PMD },		/* huge */
		{ 3 * PMD, PMD / 2 },		/* two halves of one block */
		{ 0, PMD / 2 },
		{ PMD, PMD },			/* huge */
		{ PAGE, PMD },			/* aligned in the buffer only */
	};
	int fd = slice_export(&mem, MEM, O_RDWR, ranges, 5);
	char *map;

	ck_assert_works(fd);
	map = map_at(room_at(PMD, 0, 4 * PMD), fd, 0, 4 * PMD);
	trace_start();
	check_pages(map + PMD, PMD / 2, 3 * PMD_PAGES);
	check_pages(map, PMD, 2 * PMD_PAGES);
	check_pages(map + 2 * PMD, PMD, PMD_PAGES);
	check_pages(map + PMD + PMD / 2, PMD / 2, 0);
	check_pages(map + 3 * PMD, PMD, 1);
	check_faults(1, 3, 2);
}
END_TEST

START_TEST(random_slices_show_the_right_pages)
{
	enum { RANGES = 24 };
	const size_t all = device_bar_size(&mem, MEM) / PAGE;
	range_t ranges[RANGES];
	unsigned int seed = _i;
	size_t at[RANGES + 1] = { 0 };
	int fd, i, touch;
	char *map;

	for (i = 0; i < RANGES; i++) {
		size_t first = rand_r(&seed) % all;
		size_t pages = 1 + rand_r(&seed) % (i % 4 ? 40 : 1200);

		if (pages > all - first)
			pages = all - first;
		ranges[i] = (range_t){ first * PAGE, pages * PAGE };
		at[i + 1] = at[i] + pages;
	}
	fd = slice_export(&mem, MEM, O_RDWR, ranges, RANGES);
	ck_assert_works(fd);
	map = map_at(room_at(PMD, rand_r(&seed) % PMD_PAGES * PAGE, at[RANGES] * PAGE),
		     fd, 0, at[RANGES] * PAGE);

	/* Here and there first, so that fills meet pages that are present. */
	for (touch = 0; touch < 100; touch++)
		read32(map + rand_r(&seed) % at[RANGES] * PAGE);
	for (i = 0; i < RANGES; i++)
		check_pages(map + at[i] * PAGE, ranges[i].length,
			    ranges[i].offset / PAGE);
}
END_TEST

/* One page table entry for 1 GiB; the BAR is aligned to its own 2 GiB. */
START_TEST(gigabyte_is_one_fault)
{
	struct device big;
	uint32_t value = 0x61c;
	char *map;
	int fd;

	device_open(&big, "IVSHMEM_BIG");
	ck_assert_works(device_poke(&big, MEM, GIB + 5 * PMD, &value, 4));
	fd = _i ? slice_new(&big, MEM, GIB, GIB) : big.fd;
	map = map_at(room_at(GIB, 0, GIB), fd,
		     _i ? 0 : device_region(&big, MEM).offset + GIB, GIB);

	trace_start();
	ck_assert_uint_eq(read32(map + 5 * PMD), 0x61c);
	write32(map + GIB - 4, 0x61d);
	if (!mapping_can_be_huge(_i)) {
		check_faults(_i, 2, 0);
	} else {
		ck_assert_uint_eq(trace_count("buffer_fault", ""), 1);
		ck_assert_uint_eq(faults_of_order(__builtin_ctzl(GIB / PAGE)), 1);
	}
	ck_assert_works(device_peek(&big, MEM, 2 * GIB - 4, &value, 4));
	ck_assert_uint_eq(value, 0x61d);

	/* Suspended and resumed like every other page. */
	device_set_memory(&big, false);
	ck_assert_int_eq(try_read32(map, &value), SIGBUS);
	device_set_memory(&big, true);
	ck_assert_uint_eq(read32(map + 5 * PMD), 0x61c);
}
END_TEST

/*
 * A hole in it leaves the rest to pages of 2 MiB.
 *
 * The kernel splits the VMA before it splits the page, and only for pages of
 * 2 MiB the other way round; CONFIG_DEBUG_VM then stops at a huge page that
 * reaches out of its VMA.  Any driver's 1 GiB pages of PFNs meet this.
 */
START_TEST(gigabyte_can_be_split)
{
	struct device big;
	uint32_t value = 0x61e;
	char *map;
	int fd;

	device_open(&big, "IVSHMEM_BIG");
	ck_assert_works(device_poke(&big, MEM, 3 * PMD, &value, 4));
	fd = _i ? slice_new(&big, MEM, 0, GIB) : big.fd;
	map = map_at(room_at(GIB, 0, GIB), fd,
		     _i ? 0 : device_region(&big, MEM).offset, GIB);
	read32(map);
	ck_assert_int_eq(munmap(map + PMD, PMD), 0);
	ck_assert_uint_eq(read32(map + 3 * PMD), 0x61e);
	ck_assert_int_eq(try_read32(map + PMD, &value), SIGSEGV);
}
END_TEST

Suite *suite(void)
{
	const char *kernel = lab_find("KERNEL");
	bool debug_vm = kernel && !strcmp(kernel, "debug");
	Suite *s = suite_create("fault");
	TCase *tc = add_group(s, "both_kinds");

	tcase_add_checked_fixture(tc, setup, NULL);
	/* The loop variable is the kind: 0 through the device fd, 1 a slice. */
	tcase_add_loop_test(tc, unaligned_part_costs_a_fault_for_each_block, 0, 2);
	tcase_add_loop_test(tc, first_access_may_be_to_any_page, 0, 2);
	tcase_add_loop_test(tc, aligned_part_is_huge, 0, 2);
	tcase_add_loop_test(tc, incongruent_part_is_not_huge, 0, 2);
	tcase_add_loop_test(tc, small_and_huge_neighbours_do_not_meet, 0, 2);
	tcase_add_loop_test(tc, hole_in_a_huge_page, 0, 2);
	tcase_add_loop_test(tc, part_of_the_mapping_does_not_reach_beyond_it, 0, 2);
	tcase_add_loop_test(tc, write_faults_like_a_read, 0, 2);

	tc = add_group(s, "policy");
	tcase_add_unchecked_fixture(tc, policy_never, policy_restore);
	tcase_add_checked_fixture(tc, setup, NULL);
	/* It is for memory, not for registers. */
	tcase_add_loop_test(tc, aligned_part_is_huge, 0, 2);

	tc = add_group(s, "ranges");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, each_run_of_a_slice_costs_a_fault);
	tcase_add_test(tc, runs_are_huge_where_they_can_be);
	tcase_add_loop_test(tc, random_slices_show_the_right_pages, 0, 5);

	tc = add_group(s, "gigabyte");
	tcase_add_unchecked_fixture(tc, policy_always, policy_restore);
	if (no_gigabyte_pages())
		add_test_or_skip(tc, gigabyte_is_one_fault, no_gigabyte_pages());
	else
		tcase_add_loop_test(tc, gigabyte_is_one_fault, 0, 2);
	if (debug_vm)
		add_test_or_skip(tc, gigabyte_can_be_split,
				 "this kernel's DEBUG_VM stops at a part of a 1 GiB page");
	else
		tcase_add_loop_test(tc, gigabyte_can_be_split, 0, 2);
	return s;
}
