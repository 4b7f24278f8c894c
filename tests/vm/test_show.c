// SPDX-License-Identifier: MIT
/* show: which processes hold which parts of a function's BARs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dma-buf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "client.h"
#include "command.h"
#include "device.h"
#include "kernel.h"
#include "manager.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define S	"-S " MANAGER_SOCKET
#define SLICE	"\"kind\":\"slice\","
#define SLICE_IS(state)	SLICE "\"state\":\"" state "\""

typedef struct vfio_region_dma_range range_t;

/* How many holders of a BAR begin there, are so long and have this in their JSON. */
static size_t count(json_t *shown, int bar, uint64_t offset, uint64_t length, const char *text)
{
	json_t *one, *holder;
	size_t found = 0, i, j;

	json_array_foreach(json_object_get(shown, "bars"), i, one) {
		json_array_foreach(json_object_get(one, "holders"), j, holder) {
			json_int_t at, size;
			char *who;

			ck_assert_int_eq(json_unpack(holder, "{s:I,s:I}", "offset", &at, "length", &size), 0);
			if (json_integer_value(json_object_get(one, "index")) != bar ||
			    (uint64_t)at != offset || (uint64_t)size != length)
				continue;
			who = json_dumps(holder, JSON_COMPACT);
			found += !!strstr(who, text);
			free(who);
		}
	}
	return found;
}

static json_t *show(const char *name)
{
	return vfio_dmabuf_json("show --json %s", lab_bdf(name));
}

static const char *mapped_by(pid_t pid)
{
	static char text[48];

	snprintf(text, sizeof(text), "\"pid\":%d,", pid);
	return text;
}

START_TEST(show_draws_who_has_what)
{
	static const char config[] =
		"devices: {edu: {function: @EDU@, reset: never, slices: {\n"
		"  array: {length: @PAGE@, offset: @8PAGE@, count: 8, allow: everybody}}}}\n";
	struct vdb_client *client;
	struct vdb_lease lease;
	char columns[] = "........................................", text[80];
	pid_t broker;
	json_t *shown;

	manager_init();
	broker_configure(config);
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/array", 0);
	ck_assert_ptr_nonnull(vdb_slice_map(lease.slice, 0, 0, PROT_READ));
	ck_assert_runs("show " S " %s", lab_bdf("EDU"));
	check_says("BAR 0  1 MiB, 32-bit memory");
	/* 40 columns for the BAR of 1 MiB. */
	columns[8 * PAGE * 40 >> 20] = '#';
	snprintf(text, sizeof(text), "[%s] 0x%lx+0x%lx", columns, 8 * PAGE, PAGE);
	check_says(text);
	check_says("slice, live, writable, mapped 1 times");
	snprintf(text, sizeof(text), "mapped by %.15s, pid %d, read-only", program_invocation_short_name, getpid());
	check_says(text);
	snprintf(text, sizeof(text), "lease %" PRIu64 " of edu/array[0]", lease.id);
	check_says(text);

	shown = vfio_dmabuf_json("show --json " S " %s", lab_bdf("EDU"));
	ck_assert_str_eq(json_string_value(json_object_get(shown, "bdf")), lab_bdf("EDU"));
	ck_assert_str_eq(json_string_value(json_object_get(shown, "driver")), DRIVER);
	ck_assert(json_is_true(json_object_get(shown, "complete")));
	ck_assert_uint_eq(count(shown, 0, 8 * PAGE, PAGE, ""), 3);
	snprintf(text, sizeof(text), "\"kind\":\"lease\",\"lease\":%" PRIu64 ",", lease.id);
	ck_assert_uint_eq(count(shown, 0, 8 * PAGE, PAGE, text), 1);
	ck_assert_uint_eq(count(shown, 0, 8 * PAGE, PAGE, "\"slice\":\"edu/array\",\"index\":0,\"read_only\":false"), 1);
	ck_assert_uint_eq(count(shown, 0, 8 * PAGE, PAGE, "\"kind\":\"slice\",\"state\":\"live\""), 1);
	broker_stop(broker, SIGKILL);
}
END_TEST

START_TEST(show_of_nobody)
{
	json_t *shown = show("IVSHMEM"), *one;
	size_t i;

	json_array_foreach(json_object_get(shown, "bars"), i, one)
		ck_assert_uint_eq(json_array_size(json_object_get(one, "holders")), 0);
	ck_assert_uint_ge(i, 2);
}
END_TEST

/* What a process calls itself may do nothing to the terminal, nor to the JSON. */
START_TEST(names_of_processes_are_made_harmless)
{
	struct device mem;

	device_open(&mem, "IVSHMEM");
	device_map(&mem, MEM, 0, PAGE);
	prctl(PR_SET_NAME, "a\033[31m\200\377b");
	ck_assert_runs("show %s", lab_bdf("IVSHMEM"));
	check_says("mapped by a?[31m??b, pid ");
	ck_assert_uint_eq(count(show("IVSHMEM"), MEM, 0, PAGE, "\"process\":\"a?[31m??b\""), 1);
	/* So does what refuses to bind it. */
	ck_assert_int_eq(vfio_dmabuf("bind --driver vfio-pci %s", lab_bdf("IVSHMEM")), 1);
	check_says("(a?[31m??b)");
	device_close(&mem);
}
END_TEST

/* Every process with a slice's fd can set its name. */
START_TEST(clients_cannot_hide)
{
	struct device mem, edu;
	struct client *client = client_start(CLIENT_NOBODY);
	char name[64];
	json_t *shown;
	int fd;

	device_open(&mem, "IVSHMEM");
	device_open(&edu, "EDU");
	fd = slice_new(&mem, MEM, PAGE, PAGE);
	client_mmap(client, fd, 0, PAGE, PROT_READ);
	ck_assert_works(ioctl(fd, DMA_BUF_SET_NAME, ""));
	ck_assert_uint_eq(count(show("IVSHMEM"), MEM, PAGE, PAGE, mapped_by(client->pid)), 1);

	snprintf(name, sizeof(name), "vfio0:%s/0", lab_bdf("EDU"));
	ck_assert_works(ioctl(fd, DMA_BUF_SET_NAME, name));
	ck_assert_uint_eq(count(show("IVSHMEM"), MEM, PAGE, PAGE, mapped_by(client->pid)), 1);
	shown = show("EDU");
	ck_assert_uint_eq(count(shown, 0, PAGE, PAGE, ""), 0);
	client_end(client);
}
END_TEST

START_TEST(slice_of_several_ranges)
{
	const range_t ranges[] = { { 8 * PAGE, 2 * PAGE }, { 2 * PAGE, PAGE }, { 16 * PAGE, PAGE } };
	struct device mem;
	json_t *shown;
	char *map;
	int fd;

	device_open(&mem, "IVSHMEM");
	fd = slice_export(&mem, MEM, O_RDWR, ranges, 3);
	ck_assert_works(fd);
	map = slice_map(fd, 0, 4 * PAGE);
	shown = show("IVSHMEM");
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(count(shown, MEM, ranges[i].offset, ranges[i].length, SLICE), 1);
		ck_assert_uint_eq(count(shown, MEM, ranges[i].offset, ranges[i].length, mapped_by(getpid())), 1);
	}
	/* From the middle of the first to the middle one. */
	munmap(map, PAGE);
	munmap(map + 3 * PAGE, PAGE);
	shown = show("IVSHMEM");
	ck_assert_uint_eq(count(shown, MEM, 9 * PAGE, PAGE, mapped_by(getpid())), 1);
	ck_assert_uint_eq(count(shown, MEM, 2 * PAGE, PAGE, mapped_by(getpid())), 1);
	ck_assert_uint_eq(count(shown, MEM, 16 * PAGE, PAGE, mapped_by(getpid())), 0);
	ck_assert(json_is_true(json_object_get(shown, "complete")));
}
END_TEST

START_TEST(what_is_left_out_is_said)
{
	range_t ranges[20];
	struct device mem;
	json_t *shown;
	int fd;

	for (int i = 0; i < 20; i++)
		ranges[i] = (range_t){ 2 * i * PAGE, PAGE };
	device_open(&mem, "IVSHMEM");
	fd = slice_export(&mem, MEM, O_RDWR, ranges, 20);
	ck_assert_works(fd);
	slice_map(fd, 0, 20 * PAGE);
	shown = show("IVSHMEM");
	for (int i = 0; i < 16; i++) {
		ck_assert_uint_eq(count(shown, MEM, ranges[i].offset, PAGE, "\"more_ranges\":4"), 1);
		ck_assert_uint_eq(count(shown, MEM, ranges[i].offset, PAGE, mapped_by(getpid())), 1);
	}
	ck_assert(json_is_false(json_object_get(shown, "complete")));
	ck_assert_runs("show %s", lab_bdf("IVSHMEM"));
	check_says("(some slices have more ranges than are listed)");

	/* An ordinary user does not see slices. */
	ck_assert_int_eq(shell("/usr/bin/setpriv --reuid 1000 --clear-groups vfio-dmabuf show --json %s", lab_bdf("IVSHMEM")), 0);
	check_says("\"complete\": false");
}
END_TEST

/* For this test and the commands that it runs. */
static void unmount_debugfs(void)
{
	ck_assert_works(unshare(CLONE_NEWNS));
	ck_assert_works(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ck_assert_works(umount2("/sys/kernel/debug", MNT_DETACH));
	ck_assert_int_ne(access("/sys/kernel/debug/" DRIVER, F_OK), 0);
}

START_TEST(debugfs_is_not_needed)
{
	const range_t ranges[] = { { 8 * PAGE, 2 * PAGE }, { 2 * PAGE, PAGE } };
	struct device mem;
	json_t *shown;
	int fd;

	unmount_debugfs();
	device_open(&mem, "IVSHMEM");
	fd = slice_export(&mem, MEM, O_RDONLY, ranges, 2);
	ck_assert_works(fd);
	ck_assert_works(slice_set_memattr(&mem, fd, VFIO_DMABUF_MEMATTR_WC));
	slice_map(slice_new(&mem, MEM, 4 * PAGE, PAGE), 0, PAGE);
	ck_assert_works(slice_revoke(&mem, slice_new(&mem, 0, 0, PAGE)));
	device_map(&mem, MEM, 0, PAGE);
	shown = show("IVSHMEM");
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(count(shown, MEM, ranges[i].offset, ranges[i].length,
					SLICE_IS("live") ",\"read_only\":true,\"write_combining\":true,\"mappings\":0,"), 1);
	ck_assert_uint_eq(count(shown, MEM, 4 * PAGE, PAGE, SLICE_IS("live") ",\"read_only\":false,\"write_combining\":false,\"mappings\":1,"), 1);
	ck_assert_uint_eq(count(shown, MEM, 4 * PAGE, PAGE, mapped_by(getpid())), 1);
	ck_assert_uint_eq(count(shown, 0, 0, PAGE, SLICE_IS("revoked")), 1);
	ck_assert_uint_eq(count(shown, MEM, 0, PAGE, mapped_by(getpid())), 1);
	ck_assert_uint_eq(count(shown, MEM, 0, PAGE, SLICE), 0);
	ck_assert(json_is_true(json_object_get(shown, "complete")));
	/* Nothing of this is another device's. */
	ck_assert_int_eq(shell("vfio-dmabuf show %s", lab_bdf("IVSHMEM2")), 0);
	check_says("not held by a process");
	check_says("(slices that are not mapped are missing: no process that has the device open can be asked");
}
END_TEST

/* An ordinary user whose process has the device. */
START_TEST(user_sees_the_slices_of_his_own_device)
{
	struct device mem;

	device_open(&mem, "IVSHMEM");
	slice_new(&mem, MEM, 3 * PAGE, PAGE);
	/* The shell inherits it, the command does not. */
	ck_assert_works(dup2(mem.fd, 9));
	ck_assert_int_eq(shell("/usr/bin/setpriv --reuid 1000 --clear-groups "
			       "sh -c 'vfio-dmabuf show --json %s 9>&- || exit 1'", mem.bdf), 0);
	check_says("\"complete\": true");
	ck_assert_uint_eq(count(command_json("show", command_out), MEM, 3 * PAGE, PAGE, SLICE_IS("live")), 1);
	close(9);
	ck_assert_int_eq(shell("/usr/bin/setpriv --reuid 1000 --clear-groups vfio-dmabuf show %s", mem.bdf), 0);
	check_says("(slices that are not mapped are missing: run it as root to see all)");
	check_says_not("slice, live");
}
END_TEST

/* Only a mapping keeps the device open, so there is no fd to read the list from. */
START_TEST(without_an_fd_debugfs_is_read)
{
	struct device mem;
	json_t *shown;

	device_open(&mem, "IVSHMEM");
	slice_new(&mem, MEM, 3 * PAGE, PAGE);
	device_map(&mem, MEM, 0, PAGE);
	device_close(&mem);
	shown = show("IVSHMEM");
	ck_assert_uint_eq(count(shown, MEM, 3 * PAGE, PAGE, SLICE_IS("live")), 1);
	ck_assert_uint_eq(count(shown, MEM, 0, PAGE, mapped_by(getpid())), 1);
	ck_assert(json_is_true(json_object_get(shown, "complete")));
}
END_TEST

static void wait_for_status(const char *bdf, const char *status)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	char path[128], text[32] = "";
	int tries;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status", bdf);
	for (tries = 0; tries < 1000 && strncmp(text, status, strlen(status)); tries++) {
		nanosleep(&pause, NULL);
		ck_assert_works(file_read(path, text, sizeof(text)));
	}
	ck_assert_msg(tries < 1000, "%s is %s", path, text);
}

/* To look at a device that sleeps must not wake it, nor its owner. */
START_TEST(low_power_is_not_disturbed)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET |
				 VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
		.entry.wakeup_eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	struct device nvme;
	uint64_t woken;

	device_open(&nvme, "NVME");
	slice_new(&nvme, 0, 0, PAGE);
	ck_assert_works(ioctl(nvme.fd, VFIO_DEVICE_FEATURE, &request));
	wait_for_status(nvme.bdf, "suspended");
	ck_assert_uint_eq(count(show("NVME"), 0, 0, PAGE, SLICE_IS("suspended")), 1);
	ck_assert_fails(read(request.entry.wakeup_eventfd, &woken, sizeof(woken)), EAGAIN);
	wait_for_status(nvme.bdf, "suspended");
	ck_assert_works(device_feature(&nvme, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	ck_assert_uint_eq(count(show("NVME"), 0, 0, PAGE, SLICE_IS("live")), 1);
}
END_TEST

START_TEST(however_many_there_are)
{
	struct device mem;
	json_t *shown;

	device_open(&mem, "IVSHMEM");
	for (unsigned int i = 0; i < 300; i++)
		ck_assert_works(slice_new(&mem, MEM, 4 * i * PAGE, PAGE));
	shown = show("IVSHMEM");
	for (unsigned int i = 0; i < 300; i++)
		ck_assert_uint_eq(count(shown, MEM, 4 * i * PAGE, PAGE, SLICE_IS("live")), 1);
}
END_TEST

Suite *suite(void)
{
	/* fdinfo has had it since. */
	const char *unnamed = kernel_is(6, 17) ? NULL :
		"Linux before 6.17 does not say which device an fd is";
	Suite *s = suite_create("show");
	TCase *tc = add_group(s, "show");

	tcase_add_test(tc, show_draws_who_has_what);
	tcase_add_test(tc, show_of_nobody);
	tcase_add_test(tc, names_of_processes_are_made_harmless);
	tcase_add_test(tc, clients_cannot_hide);
	tcase_add_test(tc, slice_of_several_ranges);
	tcase_add_test(tc, what_is_left_out_is_said);
	tcase_add_test(tc, however_many_there_are);
	tcase_add_test(tc, without_an_fd_debugfs_is_read);
	tcase_add_test(tc, low_power_is_not_disturbed);
	add_test_or_skip(tc, debugfs_is_not_needed, unnamed);
	add_test_or_skip(tc, user_sees_the_slices_of_his_own_device, unnamed);
	return s;
}
