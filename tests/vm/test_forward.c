// SPDX-License-Identifier: MIT
/*
 * Slices mapped through another driver that passes mmap() on (dma_buf_mmap()).  The
 * slice's mode counts and not that of the driver's file, and revocation reaches them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "edu.h"
#include "forward/forward.h"
#include "kernel.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"

#define RW	(PROT_READ | PROT_WRITE)

static struct device edu;

static void setup(void)
{
	device_open(&edu, "EDU");
}

static int forward(int slice)
{
	int fd = open(FORWARD_PATH, O_RDWR | O_CLOEXEC);

	ck_assert_works(fd);
	ck_assert_works(ioctl(fd, FORWARD_IMPORT, slice));
	return fd;
}

static int read_only_slice(void)
{
	struct vfio_region_dma_range range = { 0, PAGE };
	int fd = slice_export(&edu, 0, O_RDONLY | O_CLOEXEC, &range, 1);

	ck_assert_works(fd);
	return fd;
}

/* Edu reads as the complement of what was written. */
static void check_register_is(uint32_t written)
{
	uint32_t value;

	ck_assert_works(device_peek(&edu, 0, EDU_LIVENESS, &value, sizeof(value)));
	ck_assert_uint_eq(~value, written);
}

static void write_register(uint32_t value)
{
	ck_assert_works(device_poke(&edu, 0, EDU_LIVENESS, &value, sizeof(value)));
}

START_TEST(writable_slice_is_mapped_writable)
{
	char *map = mmap(NULL, PAGE, RW, MAP_SHARED, forward(slice_new(&edu, 0, 0, PAGE)), 0);

	ck_assert_ptr_ne(map, MAP_FAILED);
	write32(map + EDU_LIVENESS, 0x1234);
	check_register_is(0x1234);
}
END_TEST

START_TEST(read_only_slice_is_not_mapped_writable)
{
	int fd = forward(read_only_slice());
	char *map;

	write_register(1);
	errno = 0;
	map = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		try_write32(map + EDU_LIVENESS, 2);
	check_register_is(1);
	ck_assert_ptr_eq(map, MAP_FAILED);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_fails(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
}
END_TEST

START_TEST(read_only_slice_does_not_become_writable)
{
	char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, forward(read_only_slice()), 0);
	int refused;

	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
	write_register(1);
	ck_assert_int_eq(try_write32(map + EDU_LIVENESS, 2), SIGSEGV);
	errno = 0;
	refused = mprotect(map, PAGE, RW);
	try_write32(map + EDU_LIVENESS, 3);
	check_register_is(1);
	ck_assert_int_eq(refused, -1);
	ck_assert_fails(mprotect(map, PAGE, RW), EACCES);
	ck_assert_fails(mprotect(map, PAGE, PROT_WRITE), EACCES);
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
}
END_TEST

START_TEST(revocation_reaches_it)
{
	int slice = slice_new(&edu, 0, 0, PAGE), fd = forward(slice);
	char *map = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(map, MAP_FAILED);
	read32(map);
	ck_assert_works(slice_revoke(&edu, slice));
	ck_assert_int_eq(try_write32(map + EDU_LIVENESS, 2), SIGBUS);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), ENODEV);
}
END_TEST

START_TEST(suspension_reaches_it)
{
	char *map = mmap(NULL, PAGE, RW, MAP_SHARED, forward(slice_new(&edu, 0, 0, PAGE)), 0);

	ck_assert_ptr_ne(map, MAP_FAILED);
	read32(map);
	device_set_memory(&edu, false);
	ck_assert_int_eq(try_write32(map + EDU_LIVENESS, 2), SIGBUS);
	device_set_memory(&edu, true);
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
}
END_TEST

START_TEST(nothing_beyond_the_slice_is_mapped)
{
	int fd = forward(slice_new(&edu, 0, PAGE, 2 * PAGE));

	ck_assert_ptr_ne(mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE), MAP_FAILED);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 2 * PAGE), EINVAL);
	ck_assert_fails(mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0), EINVAL);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0), EINVAL);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("forward");
	TCase *tc = add_group(s, "edu");

	module_load("dmabuf-test-forward");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, writable_slice_is_mapped_writable);
	tcase_add_test(tc, read_only_slice_is_not_mapped_writable);
	tcase_add_test(tc, read_only_slice_does_not_become_writable);
	tcase_add_test(tc, revocation_reaches_it);
	tcase_add_test(tc, suspension_reaches_it);
	tcase_add_test(tc, nothing_beyond_the_slice_is_mapped);
	return s;
}
