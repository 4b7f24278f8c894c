// SPDX-License-Identifier: MIT
/*
 * Devices that the broker does not have, or has lost: it logs that, ends their leases,
 * and opens them again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "manager.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

static const char both[] =
	"devices:\n"
	"  nvme: {function: @NVME@, reset: never,\n"
	"    slices: {a: {length: @PAGE@, allow: everybody}}}\n"
	"  edu: {function: @EDU@, reset: never,\n"
	"    slices: {page: {length: @PAGE@, allow: everybody}}}\n";

static pid_t broker;

static void setup(void)
{
	unlink(BROKER_LOG);
	manager_init();
}

static void teardown(void)
{
	broker_stop(broker, SIGTERM);
}

/* Also after a test that failed. */
static void bind_all(void)
{
	if (!driver_bound(lab_bdf("NVME")))
		driver_rebind(lab_bdf("NVME"));
}

static void wait_open(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "%s is open", lab_bdf(name));
	broker_wait_log(text);
}

/* The fields of a device in lists, by its address; texts are copied. */
struct look {
	const char *bdf;
	enum vdb_device_phase phase;
	uint32_t free;
	char reason[256];
};

static bool see_device(const struct vdb_device_info *info, void *data)
{
	struct look *look = data;

	if (strcmp(info->bdf, look->bdf))
		return true;
	look->phase = info->phase;
	snprintf(look->reason, sizeof(look->reason), "%s", info->reason);
	return true;
}

static bool see_slice(const struct vdb_slice_info *info, void *data)
{
	struct look *look = data;

	if (!strcmp(info->bdf, look->bdf))
		look->free += info->free;
	return true;
}

static struct look look_at(struct vdb_client *client, const char *name)
{
	struct look look = { .bdf = lab_bdf(name) };

	ck_assert_works(vdb_client_devices(client, see_device, &look));
	ck_assert_works(vdb_client_slices(client, see_slice, &look));
	return look;
}

/* It was open and comes back, or it is bound for the first time. The broker is not restarted. */
START_TEST(device_is_opened_when_it_is_there)
{
	bool was_there = _i;
	struct vdb_client *client;
	struct vdb_lease edu, nvme;
	struct look look;
	char *map;

	if (!was_there)
		ck_assert_works(driver_unbind(lab_bdf("NVME")));
	broker_configure(both);
	broker = broker_start();
	client = broker_connect();
	edu = broker_acquire(client, "edu/page", 0);
	if (was_there) {
		nvme = broker_acquire(client, "nvme/a", 0);
		map = vdb_slice_map(nvme.slice, 0, 0, RW);
		ck_assert_works(vdb_guard_enable());
		broker_forget_log();
		ck_assert_works(driver_unbind(lab_bdf("NVME")));
		broker_expect(client, nvme.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
		ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
		broker_wait_log("is lost: it is being unbound or unplugged");
	}
	broker_wait_log("it does not exist or is not bound to a VFIO driver");
	ck_assert_int_eq(broker_acquire_error(client, "nvme/a", 0, 0, 0), ENODEV);
	look = look_at(client, "NVME");
	ck_assert_uint_eq(look.free, 0);
	ck_assert_int_ne(look.phase, VDB_DEVICE_OPEN);
	ck_assert_str_ne(look.reason, "");

	broker_forget_log();
	driver_rebind(lab_bdf("NVME"));
	wait_open("NVME");
	broker_acquire(client, "nvme/a", 0);
	look = look_at(client, "NVME");
	ck_assert_int_eq(look.phase, VDB_DEVICE_OPEN);
	ck_assert_str_eq(look.reason, "");
	ck_assert_int_eq(vdb_slice_state(edu.slice, NULL), VDB_STATE_LIVE);
}
END_TEST

/* ---- a device that does not answer ---- */

/* Its first thread is the loop, and each other one a device's. */
static pid_t worker_of_only_device(void)
{
	char path[64];
	struct dirent *entry;
	pid_t worker = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", broker);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (!tid || tid == broker)
			continue;
		ck_assert_int_eq(worker, 0);
		worker = tid;
	}
	closedir(dir);
	ck_assert_int_ne(worker, 0);
	return worker;
}

static void hang(pid_t worker)
{
	int status;

	ck_assert_works(ptrace(PTRACE_SEIZE, worker, 0, 0));
	ck_assert_works(ptrace(PTRACE_INTERRUPT, worker, 0, 0));
	ck_assert_int_eq(waitpid(worker, &status, __WALL), worker);
}

/* So often that the loop leaves the revocation to the worker. */
static char *map_many(struct vdb_slice *slice)
{
	char *map = NULL;

	for (int i = 0; i < 9; i++) {
		map = vdb_slice_map(slice, 0, 0, RW);
		ck_assert_ptr_nonnull(map);
	}
	return map;
}

/* Until the end of a lease, its client can still reach the device. */
START_TEST(end_that_does_not_come)
{
	struct vdb_client *client, *other;
	struct vdb_lease lease, beside;
	struct look look;
	pid_t worker;
	char *map;

	broker_configure("devices: {edu: {function: @EDU@, reset: never, patience: 3s, slices: {\n"
			 "  page: {length: @PAGE@, allow: everybody},\n"
			 "  array: {length: @PAGE@, offset: @8PAGE@, count: 8, allow: everybody}}}}\n");
	broker = broker_start();
	client = broker_connect();
	other = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	beside = broker_acquire(other, "edu/array", 0);
	map = map_many(lease.slice);
	ck_assert_works(vdb_guard_enable());

	worker = worker_of_only_device();
	hang(worker);
	vdb_client_set_timeout(client, 100);
	ck_assert_fails(vdb_client_release(client, lease.id), ETIMEDOUT);
	vdb_client_set_timeout(client, BROKER_MS);
	/* Others are not kept waiting, but none gets these bytes. */
	ck_assert_int_eq(broker_acquire_error(other, "edu/page", 0, 0, 0), EBUSY);
	broker_wait_log("is lost: it did not answer in time");
	manager_wait_status("0 of 1 devices are open");
	ck_assert_int_eq(broker_acquire_error(other, "edu/page", 0, 0, 0), ENODEV);
	look = look_at(other, "EDU");
	ck_assert_int_eq(look.phase, VDB_DEVICE_CLOSING);
	ck_assert_ptr_nonnull(strstr(look.reason, "did not answer in time"));
	/* The broker does not report its end too early. */
	ck_assert_works(vdb_try_read32(map, &(uint32_t){ 0 }));
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);
	ck_assert_int_eq(vdb_client_next(client, &(struct vdb_event){ 0 }), 0);

	broker_forget_log();
	ck_assert_works(ptrace(PTRACE_DETACH, worker, 0, 0));
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_RELEASED);
	broker_expect(other, beside.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	wait_open("EDU");
	broker_acquire(other, "edu/page", 0);
}
END_TEST

/* A hung device does not keep the broker from ending, nor its leases from going on then. */
START_TEST(restart_while_a_device_hangs)
{
	struct vdb_client *client;
	struct vdb_lease lease, ending;
	pid_t worker;

	broker_configure("devices: {edu: {function: @EDU@, reset: never, slices: {\n"
			 "  page: {length: @PAGE@, allow: everybody},\n"
			 "  array: {length: @PAGE@, offset: @8PAGE@, count: 8, allow: everybody}}}}\n");
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/array", 0);
	ending = broker_acquire(client, "edu/page", 0);
	map_many(ending.slice);
	worker = worker_of_only_device();
	hang(worker);
	vdb_client_set_timeout(client, 100);
	ck_assert_fails(vdb_client_release(client, ending.id), ETIMEDOUT);
	vdb_client_set_timeout(client, BROKER_MS);
	kill(broker, _i ? SIGTERM : SIGKILL);
	/* It is this process that traces the thread, and so has to take its end. */
	ck_assert_int_eq(waitpid(worker, NULL, __WALL), worker);
	manager_wait(broker);
	broker = broker_start();
	broker_acquire(client, "edu/page", 0);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);
	ck_assert_works(vdb_client_release(client, lease.id));
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("lost");
	TCase *tc = add_group(s, "absent");

	tcase_add_unchecked_fixture(tc, NULL, bind_all);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, device_is_opened_when_it_is_there, 0, 2);

	tc = add_group(s, "hung");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, end_that_does_not_come);
	tcase_add_loop_test(tc, restart_while_a_device_hangs, 0, 2);
	return s;
}
