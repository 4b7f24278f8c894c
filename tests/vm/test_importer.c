// SPDX-License-Identifier: MIT
/*
 * Importers: another device reads and writes a BAR, through a slice of it.
 * How they lose it is in test_evict.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "importer.h"
#include "kernel.h"
#include "listing.h"
#include "page.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define MANY	1024

typedef struct vfio_region_dma_range range_t;

static struct device mem;
static uint8_t *bar;	/* all of it, through the device fd */

static void setup(void)
{
	device_open(&mem, "IVSHMEM");
	bar = device_map(&mem, MEM, 0, device_bar_size(&mem, MEM));
}

static int export(const range_t *ranges, uint32_t nr)
{
	int fd = slice_export(&mem, MEM, O_RDWR, ranges, nr);

	ck_assert_works(fd);
	return fd;
}

/* The layout of a test's data. */
static uint8_t mark(size_t i)
{
	return i * 31 + (i >> 8) + 1;
}

static void fill(uint8_t *data, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		data[i] = mark(i);
}

static void check(const volatile uint8_t *data, size_t first, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (data[i] != mark(first + i))
			ck_abort_msg("byte %zu is %#x, not %#x", first + i,
				     data[i], mark(first + i));
}

START_TEST(bytes_move_both_ways)
{
	int importer = importer_attach(slice_new(&mem, MEM, 3 * PAGE, PAGE), &mem);
	uint8_t *out = malloc(PAGE), in[8] = { 0 };

	memset(bar, 0, 8 * PAGE);
	fill(out, PAGE);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	importer_write(importer, 0, out, PAGE);
	check(bar + 3 * PAGE, 0, PAGE);
	ck_assert_uint_eq(bar[3 * PAGE - 1], 0);
	ck_assert_uint_eq(bar[4 * PAGE], 0);

	bar[3 * PAGE + 17] = 0xee;
	importer_read(importer, 16, in, 4);
	ck_assert_uint_eq(in[0], mark(16));
	ck_assert_uint_eq(in[1], 0xee);
	ck_assert_uint_eq(in[2], mark(18));
	ck_assert_uint_eq(in[4], 0);
	free(out);
}
END_TEST

START_TEST(far_end_of_a_large_slice)
{
	int importer = importer_attach(slice_new(&mem, MEM, 5 * PAGE, 4001 * PAGE),
				       &mem);
	uint8_t out[64];

	fill(out, sizeof(out));
	ck_assert_works(importer_map(importer, IMPORTER_WRITES));
	importer_write(importer, 4001 * PAGE - 64, out, sizeof(out));
	check(bar + 4006 * PAGE - 64, 0, sizeof(out));
}
END_TEST

/* The IOMMU maps each range separately; all are one DMABUF. */
START_TEST(ranges_follow_each_other)
{
	const range_t ranges[] = {
		{ 64 * PAGE, PAGE }, { 2 * PAGE, 2 * PAGE }, { 9 * PAGE, PAGE },
	};
	static const size_t bar_page[] = { 64, 2, 3, 9 };
	int importer = importer_attach(export(ranges, 3), &mem);
	uint8_t out[4 * PAGE], in[512];
	size_t page;

	memset(bar, 0, 128 * PAGE);
	fill(out, sizeof(out));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	ck_assert_uint_ge(importer_status(importer).entries, 3);
	for (page = 0; page < 4; page++)
		importer_write(importer, page * PAGE, out + page * PAGE, PAGE);
	for (page = 0; page < 4; page++)
		check(bar + bar_page[page] * PAGE, page * PAGE, PAGE);
	ck_assert_uint_eq(bar[0], 0);
	ck_assert_uint_eq(bar[10 * PAGE], 0);

	for (page = 1; page < 4; page++) {
		importer_read(importer, page * PAGE - 256, in, sizeof(in));
		check(in, page * PAGE - 256, sizeof(in));
	}
}
END_TEST

START_TEST(ranges_may_repeat_and_overlap)
{
	const range_t ranges[] = {
		{ 4 * PAGE, PAGE }, { 4 * PAGE, PAGE }, { 3 * PAGE, 2 * PAGE },
	};
	int importer = importer_attach(export(ranges, 3), &mem);
	uint8_t byte = 0x3c;

	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	importer_write(importer, PAGE + 5, &byte, 1);
	ck_assert_uint_eq(bar[4 * PAGE + 5], 0x3c);
	byte = 0;
	importer_read(importer, 3 * PAGE + 5, &byte, 1);
	ck_assert_uint_eq(byte, 0x3c);
}
END_TEST

START_TEST(many_ranges)
{
	static range_t ranges[MANY];
	int importer, i;
	uint8_t byte;

	for (i = 0; i < MANY; i++)
		ranges[i] = (range_t){ 2 * (MANY - 1 - i) * PAGE, PAGE };
	importer = importer_attach(export(ranges, MANY), &mem);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	ck_assert_uint_ge(importer_status(importer).entries, MANY);
	for (i = 0; i < MANY; i += MANY - 1) {
		byte = 0x11 + i;
		importer_write(importer, i * PAGE + 1, &byte, 1);
		ck_assert_uint_eq(bar[ranges[i].offset + 1], byte);
	}
	ck_assert_works(importer_unmap(importer));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
}
END_TEST

START_TEST(read_only_slice_is_only_read)
{
	const range_t range = { 0, PAGE };
	int fd = slice_export(&mem, MEM, O_RDONLY, &range, 1);
	int importer = importer_attach(fd, &mem);
	uint8_t byte = 0;

	bar[9] = 0x99;
	ck_assert_fails(importer_map(importer, IMPORTER_WRITES), EACCES);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), EACCES);
	ck_assert_works(importer_map(importer, IMPORTER_READS));
	importer_read(importer, 9, &byte, 1);
	ck_assert_uint_eq(byte, 0x99);
	/*
	 * The IOMMU stops a device that violates its direction, if the device's
	 * addresses are translated.
	 */
	if (kernel_started_with("iommu=pt"))
		return;
	byte = 0x55;
	importer_write(importer, 9, &byte, 1);
	ck_assert_uint_eq(bar[9], 0x99);
}
END_TEST

static unsigned int listed_importers(const char *ranges)
{
	struct listed buffer;

	ck_assert(listing_find(mem.bdf, "slice", ranges, &buffer));
	return buffer.importers;
}

START_TEST(several_importers_and_their_list)
{
	int fd = slice_new(&mem, MEM, 0, PAGE);
	int first = importer_attach(fd, &mem), second = importer_attach(fd, &mem);
	uint8_t byte = 0x42;

	ck_assert_uint_eq(listed_importers(page_ranges("0+1")), 0);
	ck_assert_works(importer_map(first, IMPORTER_BOTH));
	ck_assert_works(importer_map(second, IMPORTER_READS));
	ck_assert_uint_eq(listed_importers(page_ranges("0+1")), 2);
	ck_assert_works(importer_unmap(first));
	ck_assert_uint_eq(listed_importers(page_ranges("0+1")), 1);

	ck_assert_works(importer_map(first, IMPORTER_WRITES));
	importer_write(first, 1, &byte, 1);
	byte = 0;
	importer_read(second, 1, &byte, 1);
	ck_assert_uint_eq(byte, 0x42);
	ck_assert_works(importer_detach(first));
	/* Closing its file is an importer's end, too. */
	close(second);
	ck_assert_uint_eq(listed_importers(page_ranges("0+1")), 0);
}
END_TEST

/* An importer keeps a slice, but not its device. */
START_TEST(importer_keeps_the_slice)
{
	int fd = slice_new(&mem, MEM, 0, PAGE);
	int importer = importer_attach(fd, &mem);
	uint8_t byte = 0x66;

	ck_assert_works(close(fd));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	importer_write(importer, 7, &byte, 1);
	ck_assert_uint_eq(bar[7], 0x66);
	ck_assert_uint_eq(listed_importers(page_ranges("0+1")), 1);
	close(importer);
	ck_assert_uint_eq(listing_read(mem.bdf, NULL, 0), 1);
}
END_TEST

START_TEST(importers_that_cannot_be_revoked_are_refused)
{
	static const uint32_t refused[] = {
		IMPORTER_STATIC, IMPORTER_NO_PEER2PEER, IMPORTER_NO_INVALIDATE,
	};
	int fd = slice_new(&mem, MEM, 0, PAGE), importer = importer_open();
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		/* Before 7.0 the kernel has a warning for the last one. */
		if (refused[i] == IMPORTER_NO_INVALIDATE && importers_missing())
			continue;
		ck_assert_fails(importer_try_attach(importer, fd, &mem,
						    refused[i]), EOPNOTSUPP);
	}
	ck_assert_uint_eq(listed_importers(page_ranges("0+1")), 0);
}
END_TEST

START_TEST(older_kernel_refuses_all)
{
	int fd = slice_new(&mem, MEM, 0, PAGE);

	ck_assert_fails(importer_try_attach(importer_open(), fd, &mem, 0),
			EOPNOTSUPP);
}
END_TEST

/* Mapping and unmapping continuously, while memory is disabled and enabled. */
START_TEST(mapping_races_with_suspension)
{
	int fd = slice_new(&mem, MEM, 0, 4 * PAGE);
	int importer = importer_attach(fd, &mem);
	struct importer_status status;
	uint8_t byte = 0x21;
	pid_t pid = fork();
	int round;

	ck_assert_works(pid);
	if (!pid) {
		for (;;) {
			if (!importer_map(importer, IMPORTER_BOTH))
				importer_unmap(importer);
		}
	}
	for (round = 0; round < 300; round++) {
		device_set_memory(&mem, false);
		status = importer_status(importer);
		ck_assert_uint_eq(status.mapped, 0);
		device_set_memory(&mem, true);
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);

	importer_unmap(importer);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	importer_write(importer, 2 * PAGE, &byte, 1);
	ck_assert_uint_eq(bar[2 * PAGE], 0x21);
	ck_assert_uint_eq(listed_importers(page_ranges("0+4")), 1);
}
END_TEST

Suite *suite(void)
{
	const char *missing = importers_missing();
	Suite *s = suite_create("importer");
	TCase *tc = add_group(s, "memory");

	tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	tcase_add_checked_fixture(tc, setup, NULL);
	add_test_or_skip(tc, bytes_move_both_ways, missing);
	add_test_or_skip(tc, far_end_of_a_large_slice, missing);
	add_test_or_skip(tc, ranges_follow_each_other, missing);
	add_test_or_skip(tc, ranges_may_repeat_and_overlap, missing);
	add_test_or_skip(tc, many_ranges, missing);
	add_test_or_skip(tc, read_only_slice_is_only_read, missing);
	add_test_or_skip(tc, several_importers_and_their_list, missing);
	add_test_or_skip(tc, importer_keeps_the_slice, missing);
	add_test_or_skip(tc, mapping_races_with_suspension, missing);
	tcase_add_test(tc, importers_that_cannot_be_revoked_are_refused);
	add_test_or_skip(tc, older_kernel_refuses_all, missing ? NULL :
			 "this kernel has importers");
	return s;
}
