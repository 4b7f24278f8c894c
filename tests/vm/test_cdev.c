// SPDX-License-Identifier: MIT
/* The device opened through its character device and an iommufd. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "edu.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"

#define RW	(PROT_READ | PROT_WRITE)

static struct device edu;

static void setup(void)
{
	device_open_cdev(&edu, "EDU");
}

START_TEST(bar_is_mapped)
{
	char *map = device_map(&edu, 0, 0, PAGE);

	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
	device_set_memory(&edu, false);
	ck_assert_int_eq(try_read32(map, &(uint32_t){ 0 }), SIGBUS);
	device_set_memory(&edu, true);
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
}
END_TEST

START_TEST(slice_is_exported_and_revoked)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&edu, 0, 0, PAGE);
	long map = client_mmap(c, fd, 0, PAGE, RW);
	uint32_t value;

	ck_assert_uint_eq(client_read32(c, map + EDU_ID), EDU_ID_VALUE);
	ck_assert_works(slice_revoke(&edu, fd));
	ck_assert_int_eq(client_try_read32(c, map, &value), SIGBUS);
	client_end(c);
}
END_TEST

START_TEST(closing_revokes_slices)
{
	int fd = slice_new(&edu, 0, 0, PAGE);
	char *map = slice_map(fd, 0, PAGE);

	read32(map);
	device_close(&edu);
	ck_assert_int_eq(try_read32(map, &(uint32_t){ 0 }), SIGBUS);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), ENODEV);
}
END_TEST

/* A device that is open cannot be bound to an iommufd a second time. */
START_TEST(live_mapping_keeps_the_device_open)
{
	char *map = device_map(&edu, 0, 0, PAGE);
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	char vfio[64], path[128];
	int fd;

	device_vfio_name(edu.bdf, vfio, sizeof(vfio));
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", vfio);
	ck_assert_works(close(edu.fd));
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);

	fd = open(path, O_RDWR);
	ck_assert_works(fd);
	bind.iommufd = edu.container;
	ck_assert_int_eq(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), -1);
	ck_assert_works(munmap(map, PAGE));
	ck_assert_works(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
}
END_TEST

Suite *suite(void)
{
	const char *missing = device_cdev_missing();
	Suite *s = suite_create("cdev");
	TCase *tc = add_group(s, "edu");

	if (!missing)
		tcase_add_checked_fixture(tc, setup, NULL);
	add_test_or_skip(tc, bar_is_mapped, missing);
	add_test_or_skip(tc, slice_is_exported_and_revoked, missing);
	add_test_or_skip(tc, closing_revokes_slices, missing);
	add_test_or_skip(tc, live_mapping_keeps_the_device_open, missing);
	return s;
}
