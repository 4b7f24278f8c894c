// SPDX-License-Identifier: MIT
/* Leases: how they are granted, how they end, and the configuration. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "device.h"
#include "edu.h"
#include "lender.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

/* ---- what a client gets ---- */

START_TEST(slice_is_lent)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);
	char *map = vdb_slice_map(lease.slice, 0, 0, RW);

	ck_assert_ptr_nonnull(map);
	ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);
	ck_assert_str_eq(vdb_slice_bdf(lease.slice), lab_bdf("EDU"));
	ck_assert_uint_eq(vdb_slice_length(lease.slice), PAGE);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);
	ck_assert_uint_eq(lease.seconds, 0);

	ck_assert_works(vdb_guard_enable());
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_REVOKED);
	ck_assert_fails(vdb_client_release(client, lease.id), ENOENT);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

/* A client without a free fd keeps its connection and its leases. */
START_TEST(slice_without_room_for_its_fds)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease first = broker_acquire(client, "edu/array", 0);
	struct rlimit limit, before;
	int next = dup(0);

	ck_assert_works(close(next));
	ck_assert_works(getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	limit.rlim_cur = next + _i;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	ck_assert_int_eq(broker_acquire_error(client, "edu/page", 0, 0, 0), EMFILE);
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &before));
	broker_acquire(broker_connect(), "edu/page", 0);
	ck_assert_int_eq(vdb_slice_state(first.slice, NULL), VDB_STATE_LIVE);
	ck_assert_works(vdb_client_release(client, first.id));
}
END_TEST

START_TEST(attributes_are_those_of_the_configuration)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "mem/wc", 0);

	ck_assert_uint_eq(vdb_slice_flags(lease.slice), VDB_FLAG_WC);
	ck_assert_uint_eq(vdb_slice_bar(lease.slice), 2);
	ck_assert_ptr_nonnull(vdb_slice_map(lease.slice, 0, 0, RW));
	ck_assert_works(vdb_client_acquire(client, "edu/shared", 0, VDB_FLAG_READ_ONLY, 0, 0, &lease));
	ck_assert_uint_eq(vdb_slice_flags(lease.slice), VDB_FLAG_READ_ONLY);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(lease.slice, 0, 0, RW));
	ck_assert_int_eq(errno, EACCES);
}
END_TEST

START_TEST(exclusive_is_for_one)
{
	struct vdb_client *a = broker_connect(), *b = broker_connect();
	struct vdb_lease lease = broker_acquire(a, "edu/page", 0);

	ck_assert_int_eq(broker_acquire_error(b, "edu/page", 0, 0, 0), EBUSY);
	ck_assert_int_eq(broker_acquire_error(a, "edu/page", 0, 0, 0), EBUSY);
	/* Another name for pages that include this one. */
	ck_assert_int_eq(broker_acquire_error(b, "edu/inside", 0, 0, 0), EBUSY);
	ck_assert_works(vdb_client_release(a, lease.id));
	lease = broker_acquire(b, "edu/inside", 0);
	ck_assert_int_eq(broker_acquire_error(a, "edu/page", 0, 0, 0), EBUSY);
	ck_assert_int_eq(broker_acquire_error(a, "edu/shared", 0, 0, 0), EBUSY);
}
END_TEST

START_TEST(shared_is_for_many)
{
	struct vdb_client *a = broker_connect(), *b = broker_connect();
	struct vdb_lease first = broker_acquire(a, "edu/shared", 0);
	struct vdb_lease second = broker_acquire(b, "edu/shared", 0);
	char *map = vdb_slice_map(second.slice, 0, 0, RW);

	ck_assert_ptr_nonnull(map);
	ck_assert_works(vdb_client_release(a, first.id));
	vdb_read32(map);
	ck_assert_int_eq(broker_acquire_error(a, "edu/inside", 0, 0, 0), EBUSY);
}
END_TEST

START_TEST(array_has_one_for_each)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease leases[4];

	leases[0] = broker_acquire(client, "edu/array", 1);
	for (int i = 1; i < 4; i++)
		leases[i] = broker_acquire(client, "edu/array", VDB_ANY_INDEX);
	ck_assert_uint_eq(leases[1].index, 0);
	ck_assert_uint_eq(leases[2].index, 2);
	ck_assert_uint_eq(leases[3].index, 3);
	ck_assert_uint_eq(vdb_slice_offset(leases[3].slice), 11 * PAGE);
	ck_assert_works(vdb_client_release(client, leases[2].id));
	ck_assert_int_eq(broker_acquire_error(client, "edu/array", 1, 0, 0), EBUSY);
	ck_assert_int_eq(broker_acquire_error(client, "edu/array", 8, 0, 0), EINVAL);
	ck_assert_uint_eq(broker_acquire(client, "edu/array", VDB_ANY_INDEX).index, 2);
}
END_TEST

START_TEST(bad_requests_change_nothing)
{
	struct vdb_client *client = broker_connect();

	ck_assert_int_eq(broker_acquire_error(client, "edu/nothing", 0, 0, 0), ENOENT);
	ck_assert_int_eq(broker_acquire_error(client, "", 0, 0, 0), ENOENT);
	ck_assert_int_eq(broker_acquire_error(client, "edu/page", 1, 0, 0), EINVAL);
	ck_assert_int_eq(broker_acquire_error(client, "edu/page", 0, VDB_FLAG_WC, 0), EINVAL);
	ck_assert_int_eq(broker_acquire_error(client, "edu/short", 0, 0, 2), EINVAL);
	ck_assert_fails(vdb_client_renew(client, 77, 0), ENOENT);
	ck_assert_fails(vdb_client_release(client, 77), ENOENT);
	broker_acquire(client, "edu/page", 0);
}
END_TEST

/* ---- ends ---- */

START_TEST(time_ends_a_lease)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/short", 0);
	char *map = vdb_slice_map(lease.slice, 0, 0, RW);

	ck_assert_works(vdb_guard_enable());
	ck_assert_uint_eq(lease.seconds, 1);
	ck_assert_int_eq(vdb_client_renew(client, lease.id, 0), 1);
	ck_assert_fails(vdb_client_renew(client, lease.id, 2), EINVAL);
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_EXPIRED);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_fails(vdb_client_renew(client, lease.id, 0), ENOENT);
	broker_acquire(client, "edu/short", 0);
}
END_TEST

static uint64_t to_revoke;

static void revoke_as_admin(void)
{
	struct vdb_client *client = broker_connect();

	if (vdb_client_revoke(client, to_revoke))
		_exit(1);
	if (!vdb_client_revoke(client, to_revoke) || errno != ENOENT)
		_exit(2);
}

START_TEST(administrator_ends_a_lease)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);
	char *map = vdb_slice_map(lease.slice, 0, 0, RW);

	ck_assert_works(vdb_guard_enable());
	to_revoke = lease.id;
	broker_as_user(1001, 1001, revoke_as_admin);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	broker_acquire(client, "edu/page", 0);
}
END_TEST

START_TEST(closing_ends_leases)
{
	struct vdb_client *a = broker_connect(), *b = broker_connect();
	struct vdb_lease lease = broker_acquire(a, "edu/page", 0);
	char *map = vdb_slice_map(lease.slice, 0, 0, RW);

	ck_assert_works(vdb_guard_enable());
	vdb_client_close(a);
	broker_wait_log("its client has disconnected");
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	broker_acquire(b, "edu/page", 0);
}
END_TEST

/*
 * A client dies, but leaves a child that has the connection, the slice and the
 * mapping: none of it is worth anything any more.
 */
START_TEST(death_ends_leases)
{
	struct vdb_client *client = broker_connect();
	int report[2], go[2], answer, status;
	pid_t child, pid;
	char byte;

	ck_assert_works(pipe(report));
	ck_assert_works(pipe(go));
	pid = fork();
	if (!pid) {
		struct vdb_lease lease = broker_acquire(broker_connect(), "edu/page", 0);
		char *map = vdb_slice_map(lease.slice, 0, 0, RW);

		vdb_guard_enable();
		child = fork();
		if (!child) {
			uint32_t value;

			answer = vdb_try_read32(map, &value);
			if (write(report[1], &answer, sizeof(answer)) < 0 || read(go[0], &byte, 1) != 1)
				_exit(1);
			answer = vdb_try_read32(map, &value);
			if (write(report[1], &answer, sizeof(answer)) < 0)
				_exit(1);
			answer = vdb_slice_map(lease.slice, 0, 0, RW) ? 0 : errno;
			if (write(report[1], &answer, sizeof(answer)) < 0)
				_exit(1);
			_exit(0);
		}
		pause();
	}
	ck_assert_int_eq(read(report[0], &answer, sizeof(answer)), sizeof(answer));
	ck_assert_int_eq(answer, 0);
	ck_assert_int_eq(broker_acquire_error(client, "edu/page", 0, 0, 0), EBUSY);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	broker_wait_log("its client has disconnected");
	broker_acquire(client, "edu/page", 0);
	ck_assert_int_eq(write(go[1], "", 1), 1);
	ck_assert_int_eq(read(report[0], &answer, sizeof(answer)), sizeof(answer));
	ck_assert_int_eq(answer, -1);
	ck_assert_int_eq(read(report[0], &answer, sizeof(answer)), sizeof(answer));
	ck_assert_int_eq(answer, ENODEV);
}
END_TEST

/* ---- the device ---- */

/* Register 4 of edu reads as the complement of what was written last. */
START_TEST(registers_are_written_at_the_end)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);
	char *map = vdb_slice_map(lease.slice, 0, 0, RW);

	vdb_write32(map + 4, 0);
	ck_assert_uint_eq(vdb_read32(map + 4), ~0u);
	ck_assert_works(vdb_client_release(client, lease.id));
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_uint_eq(vdb_read32(map + 4), ~0x12345678u);
}
END_TEST

/* A reset clears CC of the controller, and the client of the other lease is notified. */
START_TEST(device_is_reset_at_the_end)
{
	struct vdb_client *a = broker_connect(), *b = broker_connect();
	struct vdb_lease first = broker_acquire(a, "nvme/registers", 0);
	struct vdb_lease second = broker_acquire(b, "nvme/registers", 0);
	char *map = vdb_slice_map(second.slice, 0, 0, RW);
	uint64_t before, after;

	vdb_write32(map + 0x14, 0x00460000);
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0x00460000);
	ck_assert_int_eq(vdb_slice_state(second.slice, &before), VDB_STATE_LIVE);
	ck_assert_works(vdb_client_release(a, first.id));
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0);
	ck_assert_int_eq(vdb_slice_state(second.slice, &after), VDB_STATE_LIVE);
	ck_assert_uint_eq(after, before + 2);
}
END_TEST

START_TEST(suspension_is_reported)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "nvme/registers", 0);
	struct device raw = { .bdf = lab_bdf("NVME") };

	raw.fd = manager_fd(broker_name_of_device("NVME"));
	ck_assert_works(raw.fd);
	device_set_memory(&raw, false);
	broker_expect(client, lease.id, VDB_STATE_SUSPENDED, VDB_END_NONE);
	device_set_memory(&raw, true);
	broker_expect(client, lease.id, VDB_STATE_LIVE, VDB_END_NONE);
}
END_TEST

START_TEST(suspension_before_the_grant_is_reported)
{
	struct vdb_client *first = broker_connect(), *second = broker_connect();
	struct vdb_lease array = broker_acquire(first, "edu/array", 0), page;
	struct device raw = { .bdf = lab_bdf("EDU") };

	raw.fd = manager_fd(broker_name_of_device("EDU"));
	ck_assert_works(raw.fd);
	device_set_memory(&raw, false);
	broker_expect(first, array.id, VDB_STATE_SUSPENDED, VDB_END_NONE);
	page = broker_acquire(second, "edu/page", 0);
	broker_expect(second, page.id, VDB_STATE_SUSPENDED, VDB_END_NONE);
	device_set_memory(&raw, true);
	broker_expect(second, page.id, VDB_STATE_LIVE, VDB_END_NONE);
}
END_TEST

/*
 * A register that cannot be written, as the device's memory is off, does not make
 * the slice free as it is.
 */
START_TEST(device_that_cannot_be_put_in_order)
{
	struct vdb_client *client = broker_connect(), *other = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);
	struct vdb_lease beside = broker_acquire(other, "edu/array", 0);
	struct device raw = { .bdf = lab_bdf("EDU") };

	raw.fd = manager_fd(broker_name_of_device("EDU"));
	ck_assert_works(raw.fd);
	device_set_memory(&raw, false);
	broker_expect(other, beside.id, VDB_STATE_SUSPENDED, VDB_END_NONE);
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert(broker_logged("an on-release action failed"));
	broker_expect(other, beside.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	ck_assert_int_eq(broker_acquire_error(other, "edu/page", 0, 0, 0), ENODEV);
	broker_acquire(client, "nvme/registers", 0);

	broker_stop(lender, SIGTERM);
	lender = broker_start();
	broker_acquire(other, "edu/page", 0);
}
END_TEST

START_TEST(device_goes_back_to_the_kernel)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "nvme/registers", 0);

	ck_assert_works(driver_unbind(lab_bdf("NVME")));
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	ck_assert_int_eq(broker_acquire_error(client, "nvme/registers", 0, 0, 0), ENODEV);
	broker_acquire(client, "edu/page", 0);
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

/* ---- configuration ---- */

static const char smaller[] =
	"devices:\n"
	"  edu:\n"
	"    function: @EDU@\n"
	"    reset: never\n"
	"    slices:\n"
	"      page: {length: @PAGE@, allow: {users: [1000]}}\n"
	"      array: {length: @PAGE@, offset: @8PAGE@, count: 4, allow: everybody}\n";

START_TEST(reload_ends_what_is_no_longer_allowed)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease page = broker_acquire(client, "edu/page", 0);
	struct vdb_lease second = broker_acquire(client, "edu/array", 2);
	struct vdb_lease other = broker_acquire(client, "nvme/registers", 0);
	char *map = vdb_slice_map(second.slice, 0, 0, RW);
	struct vdb_event event;
	int ends = 0;

	broker_configure(smaller);
	kill(lender, SIGHUP);
	while (ends < 2) {
		int ret = vdb_client_next(client, &event);
		struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };

		ck_assert_works(ret);
		if (!ret) {
			poll(&p, 1, -1);
			continue;
		}
		ck_assert(event.lease == page.id || event.lease == other.id);
		ck_assert_int_eq(event.state, VDB_STATE_REVOKED);
		ends++;
	}
	vdb_read32(map);
	ck_assert_int_eq(broker_acquire_error(client, "edu/page", 0, 0, 0), ENOENT);
	ck_assert_works(vdb_client_release(client, second.id));
}
END_TEST

START_TEST(bad_reload_changes_nothing)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);

	broker_configure("devices:\n  edu: {function: nonsense}\n");
	kill(lender, SIGHUP);
	broker_wait_log("the reload is rejected");
	ck_assert(broker_logged("/tmp/broker.yaml:2:19: function: \"nonsense\""));
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_acquire(client, "nvme/registers", 0);
}
END_TEST

START_TEST(slices_that_a_device_does_not_have)
{
	static const struct {
		const char *device, *message;
	} cases[] = {
		{ "slices: {x: {length: 2M}}", "ends at 0x200000, BAR 0" },
		{ "slices: {x: {length: @PAGE@, bar: 3}}", "cannot be mapped" },
		{ "reset: idle, slices: {x: {length: @PAGE@}}", "cannot be reset" },
	};
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);
	char text[512];

	snprintf(text, sizeof(text), "devices:\n  edu: {function: @EDU@, %s%s}\n",
		 strstr(cases[_i].device, "reset") ? "" : "reset: never, ", cases[_i].device);
	broker_configure(text);
	kill(lender, SIGHUP);
	broker_wait_log("the reload is rejected");
	ck_assert(broker_logged(cases[_i].message));
	ck_assert_works(vdb_client_release(client, lease.id));
}
END_TEST

/* The same at a start: no slice of the device is granted. */
START_TEST(slices_that_a_device_does_not_have_at_the_start)
{
	broker_stop(lender, SIGTERM);
	manager_forget("");
	broker_configure("devices:\n  edu: {function: @EDU@, reset: never, slices: {x: {length: 2M, allow: everybody}}}\n");
	lender = broker_start();
	broker_wait_log("ends at 0x200000, BAR 0");
	ck_assert_int_eq(broker_acquire_error(broker_connect(), "edu/x", 0, 0, 0), ENODEV);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker");
	TCase *tc = add_group(s, "lending");

	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, slice_is_lent);
	tcase_add_loop_test(tc, slice_without_room_for_its_fds, 0, 2);
	tcase_add_test(tc, attributes_are_those_of_the_configuration);
	tcase_add_test(tc, exclusive_is_for_one);
	tcase_add_test(tc, shared_is_for_many);
	tcase_add_test(tc, array_has_one_for_each);
	tcase_add_test(tc, bad_requests_change_nothing);

	tc = add_group(s, "ends");
	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, time_ends_a_lease);
	tcase_add_test(tc, administrator_ends_a_lease);
	tcase_add_test(tc, closing_ends_leases);
	tcase_add_test(tc, death_ends_leases);

	tc = add_group(s, "device");
	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, registers_are_written_at_the_end);
	tcase_add_test(tc, device_is_reset_at_the_end);
	tcase_add_test(tc, suspension_is_reported);
	tcase_add_test(tc, suspension_before_the_grant_is_reported);
	tcase_add_test(tc, device_that_cannot_be_put_in_order);
	tcase_add_test(tc, device_goes_back_to_the_kernel);

	tc = add_group(s, "configuration");
	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, reload_ends_what_is_no_longer_allowed);
	tcase_add_test(tc, bad_reload_changes_nothing);
	tcase_add_loop_test(tc, slices_that_a_device_does_not_have, 0, 3);
	tcase_add_test(tc, slices_that_a_device_does_not_have_at_the_start);
	return s;
}
