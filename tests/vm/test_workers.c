// SPDX-License-Identifier: MIT
/* The broker's layer of devices, with devices of the lab. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "device.h"
#include "devices.h"
#include "edu.h"
#include "importer.h"
#include "kernel.h"
#include "memory.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"
#include "udev.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define NVME_CC	0x14	/* a register that a reset sets to 0 */
#define TOKEN	"8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e11"
#define RW	(PROT_READ | PROT_WRITE)

/* The core's numbers of the devices, and the configuration. */
enum { MEMORY, NVME, EDU, PF, VF, NR_DEVICES };

static struct slice slices[NR_DEVICES] = {
	[MEMORY] = {
		.name = "memory/page", .bar = MEM, .count = 2,
		.actions = { .nr = 4, .writes = {
			{ 0, 0x1122334455667788, 64 }, { 8, 0x99aabbcc, 32 }, { 12, 0xddee, 16 }, { 14, 0xff, 8 },
		} },
	},
	[NVME] = { .name = "nvme/all", .count = 1, .actions = { .reset = RESET_EACH_TIME } },
	[EDU] = { .name = "edu/all", .count = 1 },
};
static struct catalogue_device configured[NR_DEVICES];
static struct catalogue catalogue = { .devices = configured, .nr_devices = NR_DEVICES };

/* The service manager: it keeps copies. */
static struct { int fd, gate; } stored[NR_DEVICES];

static int number_of(const char *bdf)
{
	for (int i = 0; i < NR_DEVICES; i++)
		if (!strcmp(configured[i].bdf, bdf))
			return i;
	return -1;
}

static int put(void *data, const char *bdf, int fd)
{
	int i = number_of(bdf);
	char byte;

	ck_assert_ptr_eq(data, stored);
	if (stored[i].gate >= 0)
		ck_assert_int_eq(read(stored[i].gate, &byte, 1), 1);
	stored[i].fd = dup(fd);
	return 0;
}

static int put_dma(void *data, const char *bdf, uint32_t ioas, int fd)
{
	(void)data, (void)bdf, (void)ioas, (void)fd;
	return 0;
}

static int take_out(void *data, const char *bdf, uint32_t ioas)
{
	int i = number_of(bdf);

	(void)ioas;
	ck_assert_ptr_eq(data, stored);
	close(stored[i].fd);
	stored[i].fd = -1;
	return 0;
}

static const struct devices_store store = {
	.data = stored, .put = put, .put_dma = put_dma, .remove = take_out,
};
static struct devices *devices;
static int loop;

static void start(void)
{
	struct epoll_event results = { .events = EPOLLIN | EPOLLET }, news = { .events = EPOLLIN };

	devices = devices_new(&store);
	ck_assert_ptr_nonnull(devices);
	loop = epoll_create1(EPOLL_CLOEXEC);
	news.data.u32 = 1;
	ck_assert_works(epoll_ctl(loop, EPOLL_CTL_ADD, devices_fd(devices), &results));
	ck_assert_works(epoll_ctl(loop, EPOLL_CTL_ADD, devices_watch_fd(devices), &news));
	ck_assert_works(devices_set_catalogue(devices, &catalogue));
}

static void configure(int i, const char *bdf)
{
	configured[i] = (struct catalogue_device){ .slices = &slices[i], .nr_slices = 1 };
	strcpy(configured[i].bdf, bdf);
	stored[i].fd = stored[i].gate = -1;
}

static void setup(void)
{
	static const char *const names[] = { "IVSHMEM", "NVME", "EDU" };

	for (int i = 0; i < 3; i++)
		slices[i].length = PAGE;
	slices[MEMORY].offset = PAGE;
	for (int i = 0; i < NR_DEVICES; i++)
		configure(i, i < 3 ? lab_bdf(names[i]) : "ffff:00:00.0");
	for (int i = 0; i < 3; i++)
		driver_rebind(configured[i].bdf);
	start();
}

/* The process dies, and fds that it has not sent are closed. Devices stay in the store. */
static void die(void)
{
	devices_free(devices);
	devices = NULL;
	close(loop);
}

static void do_job(enum effect_type type, uint32_t device, uint64_t lease, uint64_t buffer,
		   const struct lease_record *record)
{
	const struct effect effect = {
		.type = type,
		.device = device,
		.bdf = configured[device].bdf,
		.lease = lease,
		.buffer = buffer,
		.saved_lease = record,
		.reset = record && record->actions.reset != RESET_NOT,
	};

	devices_do(devices, &effect);
}

static struct event next(void)
{
	struct event event;

	while (!devices_next(devices, &event)) {
		struct epoll_event what;

		ck_assert_int_eq(epoll_wait(loop, &what, 1, 30000), 1);
		if (what.data.u32)
			devices_look(devices);
	}
	return event;
}

static struct event expect(enum event_type type, uint32_t device, bool ok)
{
	struct event event;

	/* These can come at any time: several things report that a device is there. */
	do
		event = next();
	while (event.type != type && (event.type == EVENT_SUSPENDED || event.type == EVENT_PRESENT));
	ck_assert_msg(event.type == type && event.device == device && event.ok == ok,
		      "event %d of device %u, %d (%s)", event.type, event.device, event.ok,
		      devices_why(devices, event.device));
	return event;
}

static void expect_suspended(uint32_t device, bool suspended)
{
	while (expect(EVENT_SUSPENDED, device, false).suspended != suspended)
		;
}

static void open_it(uint32_t device)
{
	struct event event;

	do_job(EFFECT_OPEN, device, 0, 0, NULL);
	event = expect(EVENT_OPENED, device, true);
	ck_assert(event.fresh);
	/* Clients can still have slices from before. */
	for (size_t i = 0; i < event.nr_buffers; i++)
		ck_assert(event.buffers[i].revoked);
	ck_assert_int_ge(stored[device].fd, 0);
	do_job(EFFECT_PREPARE, device, 0, 0, NULL);
	expect(EVENT_PREPARED, device, true);
}

static void close_it(uint32_t device)
{
	do_job(EFFECT_CLOSE, device, 0, 0, NULL);
	expect(EVENT_CLOSED, device, true);
	ck_assert_int_eq(stored[device].fd, -1);
}

/* A client that has a lease. */
struct granted {
	struct lease_record record;
	int fds[LEASE_FDS];
	char *map;
};

static struct granted grant(uint32_t device, uint64_t lease, uint32_t index, uint32_t flags)
{
	const struct slice *slice = &slices[device];
	struct granted granted = { .record = {
		.id = lease,
		.bar = slice->bar,
		.flags = flags,
		.offset = slice->offset + index * slice->length,
		.length = slice->length,
		.actions = slice->actions,
	} };
	struct event event;

	strcpy(granted.record.slice, slice->name);
	do_job(EFFECT_EXPORT, device, lease, 0, &granted.record);
	event = expect(EVENT_EXPORTED, device, true);
	ck_assert_uint_eq(event.lease, lease);
	granted.record.buffer = event.buffer;
	ck_assert_uint_ne(event.buffer, 0);
	ck_assert(devices_take_fds(devices, lease, granted.fds));
	granted.map = mmap(NULL, slice->length, flags & SLICE_READ_ONLY ? PROT_READ : RW, MAP_SHARED,
			granted.fds[0], 0);
	ck_assert_ptr_ne(granted.map, MAP_FAILED);
	ck_assert_int_eq(vdb_event_read(granted.fds[1], NULL), VDB_STATE_LIVE);
	return granted;
}

static void check_revoked(const struct granted *granted)
{
	uint32_t value;

	ck_assert_int_eq(try_read32(granted->map, &value), SIGBUS);
	ck_assert_int_eq(vdb_event_read(granted->fds[1], NULL), VDB_STATE_REVOKED);
}

static void revoke_it(uint32_t device, const struct granted *granted)
{
	do_job(EFFECT_REVOKE, device, granted->record.id, granted->record.buffer, NULL);
	ck_assert_uint_eq(expect(EVENT_REVOKED, device, true).lease, granted->record.id);
	check_revoked(granted);
}

static void end_lease(uint32_t device, const struct granted *granted)
{
	revoke_it(device, granted);
	do_job(EFFECT_ACT, device, granted->record.id, 0, &granted->record);
	ck_assert_uint_eq(expect(EVENT_ACTED, device, true).lease, granted->record.id);
}

static void check_registers(const char *page)
{
	ck_assert_uint_eq(read32(page), 0x55667788);
	ck_assert_uint_eq(read32(page + 4), 0x11223344);
	ck_assert_uint_eq(read32(page + 8), 0x99aabbcc);
	ck_assert_uint_eq(read32(page + 12) & 0xffffff, 0xffddee);
}

START_TEST(lease_begins_and_ends)
{
	struct granted first, second, other;

	open_it(MEMORY);
	first = grant(MEMORY, 1, 0, 0);
	other = grant(MEMORY, 2, 1, 0);
	/* Prepared: every one of the array. */
	check_registers(first.map);
	check_registers(other.map);
	write32(first.map + 4, 0);
	write32(other.map + 4, 5);
	end_lease(MEMORY, &first);
	/* The same again is not a failure. */
	do_job(EFFECT_REVOKE, MEMORY, 1, first.record.buffer, NULL);
	expect(EVENT_REVOKED, MEMORY, true);
	second = grant(MEMORY, 3, 0, 0);
	check_registers(second.map);
	/* Another lease keeps the values that its client has written. */
	ck_assert_uint_eq(read32(other.map + 4), 5);
	close_it(MEMORY);
	check_revoked(&second);
	check_revoked(&other);
	open_it(MEMORY);
}
END_TEST

START_TEST(flags_are_the_leases)
{
	struct vdb_device *device;
	struct vdb_buffer buffer;
	struct granted granted;

	open_it(MEMORY);
	granted = grant(MEMORY, 1, 1, SLICE_READ_ONLY | SLICE_WC | SLICE_EXCLUSIVE);
	ck_assert_ptr_eq(mmap(NULL, PAGE, RW, MAP_SHARED, granted.fds[0], 0), MAP_FAILED);
	device = vdb_device_from_fd(stored[MEMORY].fd);
	ck_assert_works(vdb_device_buffer(device, granted.record.buffer, &buffer));
	ck_assert_uint_eq(buffer.flags, VDB_FLAG_READ_ONLY | VDB_FLAG_WC);
	ck_assert_uint_eq(buffer.offset, 2 * PAGE);
	ck_assert_uint_eq(buffer.length, PAGE);
	vdb_device_close(device);
}
END_TEST

/* The registers of ivshmem are 256 bytes. */
START_TEST(bar_may_be_smaller_than_a_page)
{
	struct granted granted;

	slices[MEMORY] = (struct slice){
		.name = "memory/registers", .bar = 0, .count = 1, .length = PAGE,
		.actions = { .nr = 1, .writes = { { 0, 0x12, 32 } } },
	};
	open_it(MEMORY);
	granted = grant(MEMORY, 1, 0, 0);
	ck_assert_uint_eq(read32(granted.map), 0x12);
	write32(granted.map, 0);
	end_lease(MEMORY, &granted);
	slices[MEMORY].actions.writes[0].offset = 256;
	do_job(EFFECT_PREPARE, MEMORY, 0, 0, NULL);
	expect(EVENT_PREPARED, MEMORY, false);
	ck_assert(strstr(devices_why(devices, MEMORY), "after the end of BAR 0"));
}
END_TEST

START_TEST(device_is_reset)
{
	struct granted granted, other;

	open_it(NVME);
	granted = grant(NVME, 1, 0, 0);
	other = grant(NVME, 2, 0, 0);
	write32(granted.map + NVME_CC, 0x460000);
	ck_assert_uint_eq(read32(other.map + NVME_CC), 0x460000);
	end_lease(NVME, &granted);
	ck_assert_uint_eq(read32(other.map + NVME_CC), 0);
}
END_TEST

START_TEST(what_cannot_be_done_fails)
{
	struct lease_record record = { .id = 1, .bar = 0, .length = PAGE, .offset = 1UL << 20, .slice = "edu/far" };
	int fds[LEASE_FDS];
	char why[128];

	open_it(EDU);
	do_job(EFFECT_EXPORT, EDU, 1, 0, &record);
	expect(EVENT_EXPORTED, EDU, false);
	snprintf(why, sizeof(why), "edu/far: exporting 0x%lx bytes at 0x100000 of BAR 0: Invalid argument", PAGE);
	ck_assert_str_eq(devices_why(devices, EDU), why);
	ck_assert(!devices_take_fds(devices, 1, fds));
	record.actions = (struct actions){ .nr = 1, .writes = { { PAGE, 1, 32 } } };
	do_job(EFFECT_ACT, EDU, 1, 0, &record);
	expect(EVENT_ACTED, EDU, false);
	record.actions = (struct actions){ .reset = RESET_EACH_TIME };
	do_job(EFFECT_ACT, EDU, 1, 0, &record);
	expect(EVENT_ACTED, EDU, false);
	ck_assert_str_eq(devices_why(devices, EDU), "it cannot be reset: Invalid argument");
	slices[EDU].actions.reset = RESET_WHEN_IDLE;
	do_job(EFFECT_PREPARE, EDU, 0, 0, NULL);
	expect(EVENT_PREPARED, EDU, false);
	ck_assert(strstr(devices_why(devices, EDU), "cannot be reset alone"));

	module_load("vfio-pci");
	driver_bind(configured[NVME].bdf, "vfio-pci");
	do_job(EFFECT_OPEN, NVME, 0, 0, NULL);
	expect(EVENT_OPENED, NVME, false);
	ck_assert(strstr(devices_why(devices, NVME), "its driver is not dmabuf-vfio-pci"));
	ck_assert_int_eq(stored[NVME].fd, -1);
	driver_rebind(configured[NVME].bdf);
	open_it(NVME);
}
END_TEST

/* The next process finds the buffers of this one, and those that are still in use. */
START_TEST(device_is_adopted)
{
	struct granted granted, revoked;
	struct event event;

	open_it(MEMORY);
	revoked = grant(MEMORY, 1, 0, 0);
	granted = grant(MEMORY, 2, 1, 0);
	revoke_it(MEMORY, &revoked);
	/* Exported, but not sent to a client. */
	do_job(EFFECT_EXPORT, MEMORY, 3, 0, &granted.record);
	expect(EVENT_EXPORTED, MEMORY, true);
	die();
	write32(granted.map, 5);

	start();
	ck_assert_works(devices_adopt(devices, configured[MEMORY].bdf, stored[MEMORY].fd));
	do_job(EFFECT_OPEN, MEMORY, 0, 0, NULL);
	event = expect(EVENT_OPENED, MEMORY, true);
	ck_assert(!event.fresh);
	ck_assert_uint_eq(event.nr_buffers, 2);
	ck_assert_uint_eq(event.buffers[0].id, revoked.record.buffer);
	ck_assert(event.buffers[0].revoked);
	ck_assert_uint_eq(event.buffers[1].id, granted.record.buffer);
	ck_assert(!event.buffers[1].revoked);
	ck_assert_uint_eq(read32(granted.map), 5);
	revoke_it(MEMORY, &granted);
	do_job(EFFECT_REVOKE, MEMORY, 0, 12345, NULL);
	expect(EVENT_REVOKED, MEMORY, true);
}
END_TEST

static struct device config_space(uint32_t device)
{
	return (struct device){ .bdf = configured[device].bdf, .fd = stored[device].fd, .group = -1, .container = -1 };
}

START_TEST(suspension_is_seen)
{
	struct device dev;

	open_it(NVME);
	dev = config_space(NVME);
	device_set_memory(&dev, false);
	expect_suspended(NVME, true);
	device_set_memory(&dev, true);
	expect_suspended(NVME, false);
	/* Also by the next process, of a suspension that began before. */
	device_set_memory(&dev, false);
	expect_suspended(NVME, true);
	die();
	start();
	ck_assert_works(devices_adopt(devices, configured[NVME].bdf, stored[NVME].fd));
	do_job(EFFECT_OPEN, NVME, 0, 0, NULL);
	ck_assert(expect(EVENT_OPENED, NVME, true).suspended);
	device_set_memory(&dev, true);
	expect_suspended(NVME, false);
}
END_TEST

/* A process that unbinds the device on request. It must not have the device open. */
static pid_t start_unbinding(int *go)
{
	int ends[2];
	char byte;
	pid_t pid;

	ck_assert_works(pipe(ends));
	pid = fork();
	ck_assert_works(pid);
	if (!pid)
		_exit(read(ends[0], &byte, 1) != 1 || driver_unbind(configured[EDU].bdf));
	*go = ends[1];
	return pid;
}

START_TEST(device_is_returned_and_comes_back)
{
	struct granted granted;
	int status, go;
	pid_t pid;

	udev_start();
	pid = start_unbinding(&go);
	open_it(EDU);
	granted = grant(EDU, 1, 0, 0);
	ck_assert_uint_eq(read32(granted.map + EDU_ID), EDU_ID_VALUE);
	ck_assert_int_eq(write(go, "x", 1), 1);
	expect(EVENT_UNPLUG, EDU, false);
	/* It waits for us. */
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	ck_assert_uint_eq(read32(granted.map + EDU_ID), EDU_ID_VALUE);
	close_it(EDU);
	check_revoked(&granted);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	do_job(EFFECT_OPEN, EDU, 0, 0, NULL);
	expect(EVENT_OPENED, EDU, false);
	ck_assert(strstr(devices_why(devices, EDU), "does not exist or is not bound"));

	driver_rebind(configured[EDU].bdf);
	expect(EVENT_PRESENT, EDU, false);
	open_it(EDU);
}
END_TEST

static void cycles_of_another(void)
{
	open_it(NVME);
	for (uint64_t id = 10; id < 13; id++) {
		struct granted granted = grant(NVME, id, 0, 0);

		end_lease(NVME, &granted);
	}
	close_it(NVME);
}

static struct device_status status_of(uint32_t device)
{
	struct device_status status;

	for (size_t i = 0; devices_status(devices, i, &status); i++)
		if (status.number == device)
			return status;
	ck_abort_msg("there is no device %u", device);
}

START_TEST(hung_open_holds_nobody_up)
{
	int gate[2];

	ck_assert_works(pipe(gate));
	stored[MEMORY].gate = gate[0];
	do_job(EFFECT_OPEN, MEMORY, 0, 0, NULL);
	cycles_of_another();
	ck_assert_str_eq(status_of(MEMORY).doing, "open");
	do_job(EFFECT_CLOSE, MEMORY, 0, 0, NULL);
	do_job(EFFECT_OPEN, MEMORY, 0, 0, NULL);
	ck_assert_uint_eq(status_of(MEMORY).waiting, 2);
	cycles_of_another();
	ck_assert_int_eq(write(gate[1], "xx", 2), 2);
	expect(EVENT_OPENED, MEMORY, true);
	expect(EVENT_CLOSED, MEMORY, true);
	expect(EVENT_OPENED, MEMORY, true);
}
END_TEST

/* An importer that does not unmap: the kernel waits for it. */
static int import(const struct granted *granted)
{
	struct device dev = config_space(MEMORY);
	int importer = importer_open();

	ck_assert_works(importer_try_attach(importer, granted->fds[0], &dev, IMPORTER_LAZY));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	return importer;
}

START_TEST(hung_revoke_holds_nobody_up)
{
	struct granted granted;
	int importer;

	open_it(MEMORY);
	granted = grant(MEMORY, 1, 0, 0);
	importer = import(&granted);
	do_job(EFFECT_REVOKE, MEMORY, 1, granted.record.buffer, NULL);
	do_job(EFFECT_ACT, MEMORY, 1, 0, &granted.record);
	cycles_of_another();
	ck_assert_str_eq(status_of(MEMORY).doing, "revoke");
	ck_assert_uint_eq(status_of(MEMORY).waiting, 1);
	ck_assert_works(importer_unmap(importer));
	expect(EVENT_REVOKED, MEMORY, true);
	expect(EVENT_ACTED, MEMORY, true);
	check_revoked(&granted);
}
END_TEST

static void nothing(int number)
{
	(void)number;
}

/* As a process leaves it that dies while it waits for an importer. */
static void begin_to_revoke(uint64_t buffer)
{
	const struct sigaction action = { .sa_handler = nothing };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = { 0 };
	struct vdb_device *device = vdb_device_from_fd(stored[MEMORY].fd);

	ck_assert_works(sigaction(SIGALRM, &action, NULL));
	ck_assert_works(setitimer(ITIMER_REAL, &often, NULL));
	ck_assert_fails(vdb_device_revoke_id(device, buffer), EINTR);
	ck_assert_works(setitimer(ITIMER_REAL, &never, NULL));
	vdb_device_close(device);
}

START_TEST(revoked_means_that_importers_are_gone)
{
	struct event event;
	struct granted granted;
	int importer;

	open_it(MEMORY);
	granted = grant(MEMORY, 1, 0, 0);
	importer = import(&granted);
	die();
	begin_to_revoke(granted.record.buffer);
	start();
	ck_assert_works(devices_adopt(devices, configured[MEMORY].bdf, stored[MEMORY].fd));
	do_job(EFFECT_OPEN, MEMORY, 0, 0, NULL);
	event = expect(EVENT_OPENED, MEMORY, true);
	ck_assert_uint_eq(event.nr_buffers, 1);
	ck_assert(!event.buffers[0].revoked);
	ck_assert_works(importer_unmap(importer));
	revoke_it(MEMORY, &granted);
}
END_TEST

/* Where there are cdevs it was not opened through the group instead. */
static void check_cdev(uint32_t device)
{
	char link[64], path[64];

	if (device_cdev_missing())
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", stored[device].fd);
	ck_assert_int_gt(readlink(path, link, sizeof(link)), 18);
	ck_assert_mem_eq(link, "/dev/vfio/devices/", 18);
}

/* Virtual functions, with a token or without. */
static void setup_sriov(void)
{
	setup();
	driver_rebind(lab_bdf("IGB"));
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	ck_assert_works(file_write("/sys/module/dmabuf_vfio_pci/parameters/enable_sriov", "1"));
	configure(PF, lab_bdf("IGB"));
	slices[PF] = (struct slice){ .name = "pf/page", .count = 1, .length = PAGE };
	slices[VF] = (struct slice){ .name = "vf/page", .count = 1, .length = PAGE };
	ck_assert_works(devices_set_catalogue(devices, &catalogue));
}

static void teardown_sriov(void)
{
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	file_write("/sys/module/dmabuf_vfio_pci/parameters/enable_sriov", "0");
}

START_TEST(virtual_function_needs_the_token)
{
	char bdf[32];
	struct granted granted;

	strcpy(configured[PF].vf_token, TOKEN);
	open_it(PF);
	ck_assert_works(sysfs_write(configured[PF].bdf, "sriov_numvfs", "1"));
	ck_assert(function_link(configured[PF].bdf, "virtfn0", bdf, sizeof(bdf)));
	configure(VF, bdf);
	do_job(EFFECT_OPEN, VF, 0, 0, NULL);
	expect(EVENT_OPENED, VF, false);
	ck_assert(strstr(devices_why(devices, VF), "vf_token"));
	strcpy(configured[VF].vf_token, TOKEN);
	configured[VF].vf_token[0] = '9';
	do_job(EFFECT_OPEN, VF, 0, 0, NULL);
	expect(EVENT_OPENED, VF, false);
	strcpy(configured[VF].vf_token, TOKEN);
	open_it(VF);
	check_cdev(VF);
	granted = grant(VF, 1, 0, 0);
	end_lease(VF, &granted);
	close_it(VF);
	close_it(PF);
}
END_TEST

/* What the udev rule does, and undoes. */
static void set_nodes(gid_t group, mode_t mode)
{
	static const char *const names[] = { "IVSHMEM", "NVME" };
	char number[64], path[128];

	for (int i = 0; i < 2; i++) {
		const char *bdf = lab_bdf(names[i]);

		ck_assert(function_link(bdf, "iommu_group", number, sizeof(number)));
		snprintf(path, sizeof(path), "/dev/vfio/%.32s", number);
		ck_assert_works(chown(path, 0, group));
		ck_assert_works(chmod(path, mode));
		if (device_cdev_missing())
			continue;
		device_vfio_name(bdf, number, sizeof(number));
		snprintf(path, sizeof(path), "/dev/vfio/devices/%.32s", number);
		ck_assert_works(chown(path, 0, group));
		ck_assert_works(chmod(path, mode));
	}
	if (device_cdev_missing())
		return;
	ck_assert_works(chown("/dev/iommu", 0, group));
	ck_assert_works(chmod("/dev/iommu", mode));
}

static void take_nodes_back(void)
{
	set_nodes(0, 0600);
}

START_TEST(no_root_is_needed)
{
	struct granted granted;

	set_nodes(1000, 0660);
	client_become(CLIENT_NOBODY);
	ck_assert_int_eq(geteuid(), 1000);
	open_it(MEMORY);
	check_cdev(MEMORY);
	granted = grant(MEMORY, 1, 0, 0);
	write32(granted.map, 1);
	end_lease(MEMORY, &granted);
	close_it(MEMORY);
	cycles_of_another();
	do_job(EFFECT_OPEN, EDU, 0, 0, NULL);
	expect(EVENT_OPENED, EDU, false);
	ck_assert(strstr(devices_why(devices, EDU), "udev rule"));
}
END_TEST

Suite *suite(void)
{
	const char *missing = importers_missing();
	Suite *s = suite_create("workers");
	TCase *tc = add_group(s, "devices");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, lease_begins_and_ends);
	tcase_add_test(tc, flags_are_the_leases);
	tcase_add_test(tc, bar_may_be_smaller_than_a_page);
	tcase_add_test(tc, device_is_reset);
	tcase_add_test(tc, what_cannot_be_done_fails);
	tcase_add_test(tc, device_is_adopted);
	tcase_add_test(tc, suspension_is_seen);
	tcase_add_test(tc, device_is_returned_and_comes_back);
	tcase_add_test(tc, hung_open_holds_nobody_up);

	tc = add_group(s, "no_root");
	tcase_add_unchecked_fixture(tc, NULL, take_nodes_back);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, no_root_is_needed);

	tc = add_group(s, "sriov");
	tcase_add_unchecked_fixture(tc, NULL, teardown_sriov);
	tcase_add_checked_fixture(tc, setup_sriov, NULL);
	tcase_add_test(tc, virtual_function_needs_the_token);

	tc = add_group(s, "importers");
	if (!missing)
		tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	if (!missing)
		tcase_add_checked_fixture(tc, setup, NULL);
	add_test_or_skip(tc, hung_revoke_holds_nobody_up, missing);
	add_test_or_skip(tc, revoked_means_that_importers_are_gone, missing);
	return s;
}
