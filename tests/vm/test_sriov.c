// SPDX-License-Identifier: MIT
/* Virtual functions: enabled on a PF that is bound to the driver, and used. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define PARAMETER	"/sys/module/dmabuf_vfio_pci/parameters/enable_sriov"
#define TOKEN		" vf_token=8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e11"
#define OTHER_TOKEN	" vf_token=8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e12"
#define VF_STATUS	0x8

static struct device pf = { .fd = -1, .group = -1, .container = -1 };
static char vf_bdf[32];

static void setup(void)
{
	const char *bdf = lab_bdf("IGB");

	driver_rebind(bdf);
	sysfs_write(bdf, "sriov_numvfs", "0");
	ck_assert_works(file_write(PARAMETER, "1"));
	device_open_bdf(&pf, bdf, TOKEN);
	ck_assert_works(sysfs_write(bdf, "sriov_numvfs", "2"));
	ck_assert(function_link(bdf, "virtfn0", vf_bdf, sizeof(vf_bdf)));
}

/* Waits until no VF is open any more: what this process holds it must close. */
static void teardown(void)
{
	device_close(&pf);
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	file_write(PARAMETER, "0");
}

START_TEST(refused_unless_the_parameter_is_set)
{
	const char *bdf = lab_bdf("IGB");

	driver_rebind(bdf);
	ck_assert_works(file_write(PARAMETER, "0"));
	ck_assert_fails(sysfs_write(bdf, "sriov_numvfs", "1"), ENOENT);
	ck_assert_works(file_write(PARAMETER, "1"));
	ck_assert_works(sysfs_write(bdf, "sriov_numvfs", "1"));
}
END_TEST

/* The core writes the driver's name to their driver_override. */
START_TEST(virtual_functions_bind_the_same_driver)
{
	char name[32];

	ck_assert(driver_bound(vf_bdf));
	ck_assert(function_link(pf.bdf, "virtfn1", name, sizeof(name)));
	ck_assert(driver_bound(name));
}
END_TEST

START_TEST(virtual_function_needs_the_token)
{
	struct device vf;

	device_open_group(&vf, vf_bdf);
	ck_assert_fails(device_get_fd(&vf, ""), EACCES);
	ck_assert_fails(device_get_fd(&vf, OTHER_TOKEN), EACCES);
	vf.fd = device_get_fd(&vf, TOKEN);
	ck_assert_works(vf.fd);
	device_close(&vf);
}
END_TEST

/* A VF has no memory enable bit of its own: its memory is always on. */
START_TEST(virtual_function_is_mapped_and_exported)
{
	struct client *c = client_start(CLIENT_NOBODY);
	struct device vf;
	uint32_t by_read, value;
	char *map;
	long slice;
	int fd;

	device_open_bdf(&vf, vf_bdf, TOKEN);
	map = device_map(&vf, 0, 0, PAGE);
	fd = slice_new(&vf, 0, 0, PAGE);
	slice = client_mmap(c, fd, 0, PAGE, PROT_READ | PROT_WRITE);
	ck_assert_works(device_peek(&vf, 0, VF_STATUS, &by_read, 4));
	ck_assert_uint_ne(by_read, ~0u);
	ck_assert_uint_eq(read32(map + VF_STATUS), by_read);
	ck_assert_uint_eq(client_read32(c, slice + VF_STATUS), by_read);

	ck_assert_works(device_reset(&vf));
	read32(map + VF_STATUS);
	client_read32(c, slice + VF_STATUS);

	ck_assert_works(slice_revoke(&vf, fd));
	ck_assert_int_ne(client_try_read32(c, slice, &value), 0);
	read32(map + VF_STATUS);
	ck_assert_works(munmap(map, PAGE));
	device_close(&vf);
	client_end(c);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("sriov");
	TCase *tc = add_group(s, "enabling");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, refused_unless_the_parameter_is_set);

	tc = add_group(s, "virtual_functions");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, virtual_functions_bind_the_same_driver);
	tcase_add_test(tc, virtual_function_needs_the_token);
	tcase_add_test(tc, virtual_function_is_mapped_and_exported);
	return s;
}
