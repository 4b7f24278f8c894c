// SPDX-License-Identifier: MIT
/*
 * What an unprivileged client can do with a slice: map it within its bounds
 * and mode, and close it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "edu.h"
#include "maps.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

static struct device edu;
static struct client *client;

static void setup(void)
{
	device_open(&edu, "EDU");
	client = client_start(CLIENT_NOBODY);
}

static void teardown(void)
{
	client_end(client);
	device_close(&edu);
}

static int read_only_slice(void)
{
	struct vfio_region_dma_range range = { 0, PAGE };
	int fd = slice_export(&edu, 0, O_RDONLY | O_CLOEXEC, &range, 1);

	ck_assert_works(fd);
	return fd;
}

/* A step that wants nothing but an fd that the client holds already. */
static long on_fd(client_fn *fn, int client_fd)
{
	return client_call(client, fn, &(struct client_step){ { client_fd }, -1 });
}

START_TEST(client_drives_registers)
{
	int fd = slice_new(&edu, 0, 0, PAGE);
	long map = client_mmap(client, fd, 0, PAGE, RW);

	ck_assert_int_ne(map, -1);
	ck_assert_uint_eq(client_read32(client, map + EDU_ID), EDU_ID_VALUE);
	client_write32(client, map + EDU_LIVENESS, 0x600d);
	ck_assert_uint_eq(client_read32(client, map + EDU_LIVENESS), ~0x600du);
	ck_assert_uint_eq(read32(slice_map(fd, 0, PAGE) + EDU_LIVENESS), ~0x600du);
	ck_assert_int_eq(client_munmap(client, map, PAGE), 0);
}
END_TEST

START_TEST(client_goes_on_when_the_owner_closed_its_copy)
{
	int fd = slice_new(&edu, 0, 0, PAGE);
	long map = client_mmap(client, fd, 0, PAGE, RW);

	close(fd);
	ck_assert_uint_eq(client_read32(client, map + EDU_ID), EDU_ID_VALUE);
}
END_TEST

static long step_open_group(const struct client_step *step)
{
	char number[16], path[64];

	(void)step;
	if (!function_link(edu.bdf, "iommu_group", number, sizeof(number)))
		return -2;
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	return open(path, O_RDWR);
}

START_TEST(client_has_no_right_to_the_group)
{
	ck_assert_fails(client_call(client, step_open_group,
				    &(struct client_step){ .fd = -1 }), EACCES);
}
END_TEST

static long step_get_info(const struct client_step *step)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return ioctl(step->arg[0], VFIO_DEVICE_GET_INFO, &info);
}

static long step_export(const struct client_step *step)
{
	struct device dev = { .fd = step->arg[0] };
	struct vfio_region_dma_range range = { 0, PAGE };

	return slice_export(&dev, 0, O_RDWR, &range, 1);
}

static long step_revoke(const struct client_step *step)
{
	struct device dev = { .fd = step->arg[0] };

	return slice_revoke(&dev, step->arg[0]);
}

static long step_reset(const struct client_step *step)
{
	return ioctl(step->arg[0], VFIO_DEVICE_RESET);
}

START_TEST(slice_fd_takes_no_vfio_ioctl)
{
	int fd = client_give(client, slice_new(&edu, 0, 0, PAGE));

	ck_assert_fails(on_fd(step_get_info, fd), ENOTTY);
	ck_assert_fails(on_fd(step_export, fd), ENOTTY);
	ck_assert_fails(on_fd(step_revoke, fd), ENOTTY);
	ck_assert_fails(on_fd(step_reset, fd), ENOTTY);
}
END_TEST

static long step_read(const struct client_step *step)
{
	uint32_t value;

	return read(step->arg[0], &value, sizeof(value));
}

static long step_write(const struct client_step *step)
{
	uint32_t value = 0;

	return write(step->arg[0], &value, sizeof(value));
}

static long step_truncate(const struct client_step *step)
{
	return ftruncate(step->arg[0], 16 * PAGE);
}

START_TEST(slice_fd_is_no_file_to_read_write_or_grow)
{
	int fd = client_give(client, slice_new(&edu, 0, 0, PAGE));

	ck_assert_int_eq(on_fd(step_read, fd), -1);
	ck_assert_int_eq(on_fd(step_write, fd), -1);
	ck_assert_int_eq(on_fd(step_truncate, fd), -1);
	ck_assert_fails(client_mmap(client, slice_new(&edu, 0, 0, PAGE), 0,
				    2 * PAGE, PROT_READ), EINVAL);
}
END_TEST

START_TEST(read_only_slice_can_be_read)
{
	int fd = read_only_slice();
	long map = client_mmap(client, fd, 0, PAGE, PROT_READ);
	struct maps_line line;
	void *own;

	ck_assert_int_ne(map, -1);
	ck_assert_uint_eq(client_read32(client, map + EDU_ID), EDU_ID_VALUE);
	ck_assert_int_eq(client_try_write32(client, map + EDU_LIVENESS, 1), SIGSEGV);

	own = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert(maps_find(own, &line));
	ck_assert_str_eq(line.mode, "r--s");
}
END_TEST

START_TEST(read_only_slice_cannot_be_mapped_writable)
{
	int fd = read_only_slice();

	ck_assert_fails(client_mmap(client, fd, 0, PAGE, RW), EACCES);
	ck_assert_fails(client_mmap(client, fd, 0, PAGE, PROT_WRITE), EACCES);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EACCES);
	/* A writable private one would be refused for being private, too. */
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0), EINVAL);
}
END_TEST

static long step_make_writable(const struct client_step *step)
{
	return mprotect((void *)step->arg[0], PAGE, RW);
}

START_TEST(read_only_slice_cannot_be_made_writable)
{
	long map = client_mmap(client, read_only_slice(), 0, PAGE, PROT_READ);

	client_read32(client, map);
	ck_assert_fails(client_call(client, step_make_writable,
				    &(struct client_step){ { map }, -1 }), EACCES);
	ck_assert_int_eq(client_try_write32(client, map + EDU_LIVENESS, 1), SIGSEGV);
}
END_TEST

static long step_reopen(const struct client_step *step)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%ld", step->arg[0]);
	return open(path, O_RDWR);
}

START_TEST(read_only_slice_cannot_be_reopened)
{
	int fd = read_only_slice();

	ck_assert_int_eq(on_fd(step_reopen, client_give(client, fd)), -1);
	ck_assert_int_eq(step_reopen(&(struct client_step){ { fd }, -1 }), -1);
}
END_TEST

START_TEST(read_only_slice_cannot_be_switched)
{
	int fd = read_only_slice();

	fcntl(fd, F_SETFL, O_RDWR);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EACCES);
}
END_TEST

START_TEST(read_only_slice_cannot_be_written_through_proc_mem)
{
	void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, read_only_slice(), 0);
	int fd = open("/proc/self/mem", O_RDWR);
	uint32_t value = 0x1bad, before;

	ck_assert_works(fd);
	before = read32(map + EDU_LIVENESS);
	ck_assert_fails(pwrite(fd, &value, 4, (off_t)map + EDU_LIVENESS), EIO);
	ck_assert_uint_eq(read32(map + EDU_LIVENESS), before);
}
END_TEST

/* The mode belongs to the buffer, not to the registers. */
START_TEST(read_only_slice_does_not_bind_others)
{
	int fd = slice_new(&edu, 0, 0, PAGE);
	long reading = client_mmap(client, read_only_slice(), 0, PAGE, PROT_READ);
	long writing = client_mmap(client, fd, 0, PAGE, RW);

	client_write32(client, writing + EDU_LIVENESS, 0x99);
	ck_assert_uint_eq(client_read32(client, reading + EDU_LIVENESS), ~0x99u);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("client");
	TCase *tc = add_group(s, "rights");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, client_drives_registers);
	tcase_add_test(tc, client_goes_on_when_the_owner_closed_its_copy);
	tcase_add_test(tc, client_has_no_right_to_the_group);
	tcase_add_test(tc, slice_fd_takes_no_vfio_ioctl);
	tcase_add_test(tc, slice_fd_is_no_file_to_read_write_or_grow);

	tc = add_group(s, "read_only");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, read_only_slice_can_be_read);
	tcase_add_test(tc, read_only_slice_cannot_be_mapped_writable);
	tcase_add_test(tc, read_only_slice_cannot_be_made_writable);
	tcase_add_test(tc, read_only_slice_cannot_be_reopened);
	tcase_add_test(tc, read_only_slice_cannot_be_switched);
	tcase_add_test(tc, read_only_slice_cannot_be_written_through_proc_mem);
	tcase_add_test(tc, read_only_slice_does_not_bind_others);
	return s;
}
