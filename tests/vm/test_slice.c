// SPDX-License-Identifier: MIT
/* Mappings of slices: which bytes they show, and where they end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "edu.h"
#include "maps.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */

typedef struct vfio_region_dma_range range_t;

static struct device edu, mem;

static void open_edu(void)
{
	device_open(&edu, "EDU");
}

static void open_mem(void)
{
	device_open(&mem, "IVSHMEM");
}

START_TEST(slice_shows_the_same_registers_as_the_bar)
{
	void *bar = device_map(&edu, 0, 0, PAGE);
	void *slice = slice_map(slice_new(&edu, 0, 0, PAGE), 0, PAGE);

	ck_assert_uint_eq(read32(slice + EDU_ID), EDU_ID_VALUE);
	write32(slice + EDU_LIVENESS, 0x1234);
	ck_assert_uint_eq(read32(bar + EDU_LIVENESS), ~0x1234u);
}
END_TEST

/* Any order, a repeated range, and one that overlaps two others. */
START_TEST(ranges_follow_each_other_as_given)
{
	const range_t ranges[] = {
		{ 9 * PAGE, 2 * PAGE },
		{ 2 * PAGE, PAGE },
		{ 9 * PAGE, 2 * PAGE },
		{ 1 * PAGE, 3 * PAGE },
	};
	static const uint32_t bar_page[] = { 9, 10, 2, 9, 10, 1, 2, 3 };
	uint32_t page, value;
	char *slice;
	int fd;

	for (page = 0; page < 16; page++) {
		value = 0xb0 + page;
		ck_assert_works(device_poke(&mem, MEM, page * PAGE, &value, 4));
	}
	fd = slice_export(&mem, MEM, O_RDWR, ranges, 4);
	ck_assert_works(fd);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 8 * PAGE);
	slice = slice_map(fd, 0, 8 * PAGE);
	for (page = 0; page < 8; page++)
		ck_assert_uint_eq(read32(slice + page * PAGE),
				  0xb0 + bar_page[page]);

	write32(slice, 0x77);
	ck_assert_uint_eq(read32(slice + 3 * PAGE), 0x77);
}
END_TEST

/* Every page of the BAR is a range of its own. */
START_TEST(thousands_of_ranges_work)
{
	const uint64_t nr = device_bar_size(&mem, MEM) / PAGE;
	range_t *ranges = calloc(nr, sizeof(*ranges));
	char *bar = device_map(&mem, MEM, 0, nr * PAGE);
	char *slice;
	uint64_t i;
	int fd;

	ck_assert_uint_ge(nr, 4096);
	for (i = 0; i < nr; i++) {
		/* An odd factor makes it a permutation of the pages. */
		ranges[i] = (range_t){ i * 1021 % nr * PAGE, PAGE };
		write32(bar + i * PAGE, 0xc0000000 + i);
	}
	fd = slice_export(&mem, MEM, O_RDWR, ranges, nr);
	ck_assert_works(fd);
	slice = slice_map(fd, 0, nr * PAGE);
	for (i = 0; i < nr; i++)
		if (read32(slice + i * PAGE) != 0xc0000000 + i * 1021 % nr)
			ck_abort_msg("page %lu of the slice is another one", i);
	free(ranges);
}
END_TEST

START_TEST(offset_of_a_mapping_is_that_in_the_bar)
{
	const range_t ranges[] = { { 8 * PAGE, 4 * PAGE }, { PAGE, 4 * PAGE } };
	int fd = slice_export(&mem, MEM, O_RDWR, ranges, 2);
	struct maps_line line;

	ck_assert_works(fd);
	ck_assert(maps_find(slice_map(fd, 0, 8 * PAGE), &line));
	ck_assert_uint_eq(line.offset, 8 * PAGE);
	ck_assert_str_eq(line.mode, "rw-s");
	ck_assert(maps_find(slice_map(fd, 2 * PAGE, PAGE), &line));
	ck_assert_uint_eq(line.offset, 10 * PAGE);
}
END_TEST

START_TEST(part_of_a_slice_can_be_mapped)
{
	int fd = slice_new(&mem, MEM, 8 * PAGE, 4 * PAGE);
	uint32_t value = 0x4321;
	char *map;

	ck_assert_works(device_poke(&mem, MEM, 10 * PAGE, &value, 4));
	map = slice_map(fd, 2 * PAGE, 2 * PAGE);
	ck_assert_uint_eq(read32(map), 0x4321);
}
END_TEST

START_TEST(mapping_past_the_end_is_refused)
{
	const int prot = PROT_READ | PROT_WRITE;
	int fd = slice_new(&edu, 0, 0, 2 * PAGE);

	ck_assert_fails(mmap(NULL, 3 * PAGE, prot, MAP_SHARED, fd, 0), EINVAL);
	ck_assert_fails(mmap(NULL, 2 * PAGE, prot, MAP_SHARED, fd, PAGE), EINVAL);
	ck_assert_fails(mmap(NULL, PAGE, prot, MAP_SHARED, fd, 2 * PAGE), EINVAL);
	ck_assert_ptr_eq(mmap(NULL, 2 * PAGE, prot, MAP_SHARED, fd, -PAGE),
			 MAP_FAILED);
}
END_TEST

START_TEST(private_mapping_is_refused)
{
	int fd = slice_new(&edu, 0, 0, PAGE);

	ck_assert_fails(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL);
	ck_assert_fails(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
			     0), EINVAL);
}
END_TEST

START_TEST(mapping_of_a_slice_cannot_grow)
{
	int fd = slice_new(&edu, 0, 0, 4 * PAGE);
	char *map = slice_map(fd, 0, PAGE);

	ck_assert_fails(mremap(map, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	ck_assert_ptr_eq(mremap(map, 0, PAGE, MREMAP_MAYMOVE), MAP_FAILED);
}
END_TEST

START_TEST(remapping_stays_within_the_slice)
{
	int fd = slice_new(&edu, 0, 4 * PAGE, 2 * PAGE);
	char *map = slice_map(fd, 0, 2 * PAGE);

	ck_assert_fails(remap_file_pages(map, PAGE, 0, 2, 0), EINVAL);
	map = slice_map(fd, 0, 2 * PAGE);
	ck_assert_fails(remap_file_pages(map, 2 * PAGE, 0, 1, 0), EINVAL);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("slice");
	TCase *tc = add_group(s, "bounds");

	tcase_add_checked_fixture(tc, open_edu, NULL);
	tcase_add_test(tc, slice_shows_the_same_registers_as_the_bar);
	tcase_add_test(tc, mapping_past_the_end_is_refused);
	tcase_add_test(tc, private_mapping_is_refused);
	tcase_add_test(tc, mapping_of_a_slice_cannot_grow);
	tcase_add_test(tc, remapping_stays_within_the_slice);

	tc = add_group(s, "ranges");
	tcase_add_checked_fixture(tc, open_mem, NULL);
	tcase_add_test(tc, ranges_follow_each_other_as_given);
	tcase_add_test(tc, thousands_of_ranges_work);
	tcase_add_test(tc, offset_of_a_mapping_is_that_in_the_bar);
	tcase_add_test(tc, part_of_a_slice_can_be_mapped);
	return s;
}
