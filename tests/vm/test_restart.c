// SPDX-License-Identifier: MIT
/*
 * The broker ends, by order or by kill -9 at any step, and comes back: leases go
 * on or their clients are told, and no slice is ever lent to two.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "crash.h"
#include "device.h"
#include "edu.h"
#include "manager.h"
#include "memory.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define PAGE	0x1000UL
#define RW	(PROT_READ | PROT_WRITE)

static const char config[] =
	"user = \"client\"\n"
	"device \"edu\" {\n"
	"	bdf = \"@EDU@\"\n"
	"	reset = never\n"
	"	slice \"page\" { length = 0x1000 users = { \"*\" } }\n"
	"	slice \"array\" { length = 0x1000 offset = 0x8000 count = 8 users = { \"*\" } }\n"
	"	slice \"short\" { length = 0x1000 offset = 0x20000 max_seconds = 2 users = { \"*\" } }\n"
	"}\n";

static pid_t broker;

static void setup(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
}

static void teardown(void)
{
	broker_stop(broker, SIGTERM);
}

static void restart(int number)
{
	broker_stop(broker, number);
	broker = broker_start();
}

START_TEST(lease_goes_on)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	struct vdb_client *client, *other;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);

	trace_start();
	for (int i = 0; i < 3; i++) {
		restart(numbers[_i]);
		ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);
		other = broker_connect();
		ck_assert_fails(vdb_client_acquire(other, "edu/page", 0, 0, 0, &(struct vdb_lease){ 0 }), EBUSY);
		vdb_client_close(other);
	}
	ck_assert_uint_eq(trace_faults(lab_bdf("EDU"), 0), 0);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_LIVE);

	/* The connection is the same, and can do everything. */
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	broker_acquire(client, "edu/page", 0);
	ck_assert_uint_eq(manager_count("lease-"), 1);
	ck_assert_uint_eq(manager_count("client-"), 1);
	ck_assert_uint_eq(manager_count("device-"), 1);
	ck_assert_uint_eq(manager_count("state"), 1);
}
END_TEST

START_TEST(time_goes_on_while_there_is_no_broker)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/short", 0);
	/* Once it answers again, it has written down that the slice is lent. */
	vdb_client_renew(client, lease.id, 0);
	restart(SIGKILL);
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_EXPIRED);
	broker_acquire(client, "edu/short", 0);
}
END_TEST

START_TEST(client_that_died_meanwhile)
{
	struct vdb_client *client;
	int report[2], status;
	char byte;
	pid_t pid;

	broker = broker_start();
	ck_assert_works(pipe(report));
	pid = fork();
	if (!pid) {
		broker_acquire(broker_connect(), "edu/page", 0);
		if (write(report[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ck_assert_int_eq(read(report[0], &byte, 1), 1);
	broker_stop(broker, SIGKILL);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	broker = broker_start();
	manager_wait_count("lease-", 0);
	client = broker_connect();
	broker_acquire(client, "edu/page", 0);
	ck_assert_uint_eq(manager_count("lease-"), 1);
	ck_assert_uint_eq(manager_count("client-"), 1);
}
END_TEST

START_TEST(configuration_changed_meanwhile)
{
	struct vdb_client *client;
	struct vdb_lease gone, stays;

	broker = broker_start();
	client = broker_connect();
	gone = broker_acquire(client, "edu/page", 0);
	stays = broker_acquire(client, "edu/array", 0);
	broker_stop(broker, SIGTERM);
	broker_configure("device \"edu\" { bdf = \"@EDU@\" reset = never\n"
			 "slice \"array\" { length = 0x1000 offset = 0x8000 count = 2 users = { \"*\" } } }\n");
	broker = broker_start();
	broker_expect(client, gone.id, VDB_REVOKED, VDB_END_REVOKED);
	ck_assert_works(vdb_client_release(client, stays.id));
}
END_TEST

/* A client that is connected, and has not said hello yet; or has, and has nothing yet. */
START_TEST(connection_goes_on)
{
	const struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 2 } };
	const struct vdp_hello hello = {
		.header = { .type = VDP_HELLO, .serial = 1 }, .min_version = 1, .max_version = 1,
	};
	char answer[VDP_MAX_MESSAGE];
	int fd;

	broker = broker_start();
	fd = _i ? raw_connect_greeted() : raw_connect();
	/* Whatever was first is accepted by then. */
	vdb_client_close(broker_connect());
	restart(_i ? SIGKILL : SIGTERM);
	if (_i)
		ck_assert_int_eq(raw_ask(fd, &list, sizeof(list), answer), sizeof(struct vdp_slice_item));
	else
		ck_assert_int_eq(raw_ask(fd, &hello, sizeof(hello), answer), sizeof(struct vdp_hello_answer));
	close(fd);
}
END_TEST

/* What is left of a death is cleared away before the others are taken over. */
START_TEST(reset_spares_those_who_live_on)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	int report[2], status;
	uint64_t before, after;
	char byte, *map;
	pid_t pid;

	broker_configure("device \"nvme\" { bdf = \"@NVME@\" reset = idle\n"
			 "slice \"registers\" { length = 0x1000 sharing = shared users = { \"*\" } } }\n");
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "nvme/registers", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_ptr_nonnull(map);
	ck_assert_works(pipe(report));
	pid = fork();
	if (!pid) {
		broker_acquire(broker_connect(), "nvme/registers", 0);
		if (write(report[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ck_assert_int_eq(read(report[0], &byte, 1), 1);
	vdb_write32(map + 0x14, 0x00460000);
	ck_assert_int_eq(vdb_slice_state(lease.slice, &before), VDB_LIVE);

	broker_stop(broker, SIGKILL);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	broker = broker_start();
	manager_wait_count("lease-", 1);
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0x00460000);
	ck_assert_int_eq(vdb_slice_state(lease.slice, &after), VDB_LIVE);
	ck_assert_uint_eq(after, before);
}
END_TEST

/* A client knows that its slice is suspended, and there is no broker when it is live again. */
START_TEST(resumption_meanwhile_is_told)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	struct device raw = { .bdf = lab_bdf("EDU") };

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	raw.fd = manager_fd(broker_name_of_device("EDU"));
	ck_assert_works(raw.fd);
	device_set_memory(&raw, false);
	broker_expect(client, lease.id, VDB_SUSPENDED, VDB_END_NONE);
	broker_stop(broker, SIGKILL);
	device_set_memory(&raw, true);
	broker = broker_start();
	broker_expect(client, lease.id, VDB_LIVE, VDB_END_NONE);
}
END_TEST

/* A client that has not read its answers is told of the end of its lease all the same. */
START_TEST(end_is_told_by_the_next_one)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	const struct vdp_acquire acquire = {
		.header = { .type = VDP_ACQUIRE, .serial = 2 }, .name = "edu/short", .seconds = 1,
	};
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 3 } };
	union {
		struct vdp_acquire_answer lease;
		struct vdp_event event;
		char bytes[VDP_MAX_MESSAGE];
	} answer;
	uint64_t lease;
	int fd;

	broker = broker_start();
	fd = raw_connect_greeted();
	ck_assert_int_eq(raw_ask(fd, &acquire, sizeof(acquire), &answer), sizeof(answer.lease));
	lease = answer.lease.lease;
	while (send(fd, &list, sizeof(list), MSG_DONTWAIT) == sizeof(list))
		list.header.serial++;
	broker_wait_log("its time is over");
	restart(numbers[_i]);
	do
		ck_assert_int_gt(recv(fd, &answer, sizeof(answer), 0), 0);
	while (answer.event.header.type != VDP_EVENT);
	ck_assert_uint_eq(answer.event.lease, lease);
	ck_assert_int_eq(answer.event.state, VDP_STATE_REVOKED);
	ck_assert_int_eq(answer.event.end, VDP_END_EXPIRED);
	close(fd);
}
END_TEST

/* ---- what is left is not what it should be ---- */

START_TEST(damaged_state_ends_everything)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	broker_stop(broker, SIGKILL);
	if (_i)
		ck_assert_works(ftruncate(manager_fd("state"), 4096));
	else
		ck_assert_int_eq(pwrite(manager_fd("state"), "x", 1, 0), 1);
	broker = broker_start();
	ck_assert(broker_logged("damaged"));
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_fails(vdb_client_release(client, lease.id), ENOTCONN);
	broker_acquire(broker_connect(), "edu/page", 0);
}
END_TEST

/* What is not in the store, either, can only be taken back by closing the device. */
START_TEST(damaged_state_and_lease_that_was_not_kept)
{
	struct vdb_client *client, *other;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	manager_refuse("lease-");
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	broker_stop(broker, SIGKILL);
	if (_i)
		manager_forget("state");
	else
		ck_assert_int_eq(pwrite(manager_fd("state"), "x", 1, 0), 1);
	broker = broker_start();
	other = broker_connect();
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	manager_refuse(NULL);
	broker_acquire(other, "edu/page", 0);
}
END_TEST

/* The manager's store may be full; what it has not kept cannot be revoked. */
START_TEST(lease_that_was_not_kept)
{
	struct vdb_client *client;
	struct vdb_lease lease, kept;
	char *map;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	manager_forget("lease-");
	kept = broker_acquire(client, "edu/array", 0);
	ck_assert_works(vdb_guard_enable());
	restart(SIGKILL);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	/* The newest first. */
	broker_expect(client, kept.id, VDB_REVOKED, VDB_END_DEVICE);
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_DEVICE);
	broker_acquire(client, "edu/page", 0);
}
END_TEST

START_TEST(device_that_was_not_kept)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	broker_stop(broker, SIGKILL);
	manager_forget("device-");
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	broker = broker_start();
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_DEVICE);
	broker_acquire(client, "edu/page", 0);
}
END_TEST

/* A device that is not there when the broker comes back ends nobody's leases but its own. */
START_TEST(device_that_is_missing)
{
	static const char both[] =
		"user = \"client\"\n"
		"device \"nvme\" { bdf = \"@NVME@\" slice \"a\" { length = 0x1000 users = { \"*\" } } }\n"
		"device \"edu\" { bdf = \"@EDU@\" reset = never\n"
		"	slice \"page\" { length = 0x1000 users = { \"*\" } } }\n";
	struct vdb_client *client;
	struct vdb_lease lease, gone;
	char *map;

	broker_configure(both);
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	gone = broker_acquire(client, "nvme/a", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	broker_stop(broker, SIGTERM);
	manager_forget(broker_name_of_device("NVME"));
	ck_assert_works(driver_unbind(lab_bdf("NVME")));

	broker = broker_start();
	ck_assert(broker_logged("is lost: it is not there or not bound; vfio-dmabuf bind it"));
	broker_expect(client, gone.id, VDB_REVOKED, VDB_END_DEVICE);
	ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_LIVE);
	ck_assert_fails(vdb_client_acquire(client, "nvme/a", 0, 0, 0, &gone), ENODEV);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "opens it when it is restarted"));

	driver_rebind(lab_bdf("NVME"));
	ck_assert_fails(vdb_client_acquire(client, "nvme/a", 0, 0, 0, &gone), ENODEV);
	restart(SIGTERM);
	broker_acquire(client, "nvme/a", 0);
	ck_assert_works(vdb_client_release(client, lease.id));
}
END_TEST

START_TEST(without_a_store_it_all_ends)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	manager_keep(false);
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	restart(_i ? SIGKILL : SIGTERM);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_fails(vdb_client_release(client, lease.id), ENOTCONN);
	broker_acquire(broker_connect(), "edu/page", 0);
}
END_TEST

/* ---- killed at every step ---- */

struct seen {
	uint64_t lease;
	bool other;
};

/* A list may begin anew, so one lease may come twice. */
static void see_lease(const struct vdb_lease_info *info, void *data)
{
	struct seen *seen = data;

	seen->other |= info->id != seen->lease;
}

/*
 * The life of a client, in a process of its own: acquire, use, release, of two
 * slices.  It may be told to ask again, but once it is connected it stays so,
 * and it never has a lease that it does not know of.
 */
static int live(void)
{
	static const char *const names[] = { "edu/page", "edu/array" };
	struct vdb_client *client = NULL;
	int errors = 0;

	vdb_guard_enable();
	for (int round = 0; round < 2; ) {
		struct vdb_lease lease;
		struct seen seen = { 0 };
		uint32_t value;
		char *map;

		if (errors > 20)
			return 1;
		if (!client && !(client = vdb_client_connect(MANAGER_SOCKET))) {
			errors++;
			continue;
		}
		if (vdb_client_acquire(client, names[round], VDB_ANY_INDEX, 0, 0, &lease)) {
			/* Told to ask again. */
			if (errno != EIO)
				return 2;
			errors++;
			continue;
		}
		map = vdb_slice_map(lease.slice, 0, 0, RW);
		if (map && !round && !vdb_try_read32(map, &value) && value != EDU_ID_VALUE)
			return 3;
		/* Gone without having been told? */
		if (map && vdb_try_read32(map, &value) &&
		    vdb_slice_state(lease.slice, NULL) != VDB_REVOKED)
			return 4;
		seen.lease = lease.id;
		if (vdb_client_leases(client, see_lease, &seen) || seen.other)
			return 5;
		if (vdb_client_release(client, lease.id) && errno != ENOENT)
			return 6;
		if (map && !vdb_try_read32(map, &value))
			return 7;
		if (map)
			vdb_slice_unmap(map, PAGE);
		vdb_slice_free(lease.slice);
		round++;
	}
	return 0;
}

/* Kills the broker at the @nth call of it; false if it did not come so far. */
static bool killed_at(const char *call, int nth)
{
	bool died, stop = false;
	pid_t client;

	setup();
	broker = crash_start(call, nth, &died);
	client = fork();
	if (!client)
		_exit(live());
	died |= crash_revive(&broker, &client, 1, &stop);
	crash_check_peace(broker, "edu/page");
	return died;
}

static const char *const calls[] = {
	"sendmsg", "recvmsg", "recvfrom", "ioctl", "close", "write", "epoll_wait",
};

START_TEST(killed_at_every_call)
{
	int nth = 1;

	while (killed_at(calls[_i], nth))
		nth += crash_stride();
	/* Enough to have been in the middle of things. */
	ck_assert_int_gt(nth, 3);
}
END_TEST

/*
 * One client has died while there was no broker, another lives.  The next broker
 * is killed before it is ready, and the one after it knows as much.
 */
static bool killed_in_takeover(const char *call, int nth)
{
	struct vdb_client *client, *other;
	struct vdb_lease lease;
	struct vdb_event event;
	char options[128], *map;
	int report[2], status;
	bool died;
	char byte;
	pid_t pid;

	setup();
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(pipe(report));
	pid = fork();
	if (!pid) {
		broker_acquire(broker_connect(), "edu/array", 3);
		if (write(report[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ck_assert_int_eq(read(report[0], &byte, 1), 1);
	broker_stop(broker, SIGKILL);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(report[0]);
	close(report[1]);

	snprintf(options, sizeof(options), "-e trace=%s -e inject=%s:signal=KILL:when=%d", call, call, nth);
	broker = broker_start_traced(options);
	died = !broker;
	if (!died)
		broker_stop(broker, SIGKILL);
	broker = broker_start();
	ck_assert_msg(vdb_client_next(client, &event) == 0 &&
		      vdb_slice_state(lease.slice, NULL) == VDB_LIVE,
		      "%s %d: the lease of the living has ended", call, nth);
	ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);
	other = broker_connect();
	ck_assert_fails(vdb_client_acquire(other, "edu/page", 0, 0, 0, &(struct vdb_lease){ 0 }), EBUSY);
	broker_acquire(other, "edu/array", 3);
	ck_assert_uint_eq(manager_count("lease-"), 2);
	ck_assert_works(vdb_client_release(client, lease.id));
	vdb_client_close(other);
	vdb_client_close(client);
	vdb_slice_unmap(map, PAGE);
	vdb_slice_free(lease.slice);
	broker_stop(broker, SIGKILL);
	return died;
}

static const char *const takeover_calls[] = { "sendmsg", "ioctl", "close", "write" };

START_TEST(killed_while_it_takes_over)
{
	int nth = 1;

	while (killed_in_takeover(takeover_calls[_i], nth))
		nth += crash_stride();
	ck_assert_int_gt(nth, 2);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("restart");
	TCase *tc = add_group(s, "restart");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, lease_goes_on, 0, 2);
	tcase_add_test(tc, time_goes_on_while_there_is_no_broker);
	tcase_add_test(tc, client_that_died_meanwhile);
	tcase_add_test(tc, configuration_changed_meanwhile);
	tcase_add_loop_test(tc, connection_goes_on, 0, 2);
	tcase_add_test(tc, reset_spares_those_who_live_on);
	tcase_add_test(tc, resumption_meanwhile_is_told);
	tcase_add_loop_test(tc, end_is_told_by_the_next_one, 0, 2);

	tc = add_group(s, "damage");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, damaged_state_ends_everything, 0, 2);
	tcase_add_loop_test(tc, damaged_state_and_lease_that_was_not_kept, 0, 2);
	tcase_add_test(tc, lease_that_was_not_kept);
	tcase_add_test(tc, device_that_was_not_kept);
	tcase_add_test(tc, device_that_is_missing);
	tcase_add_loop_test(tc, without_a_store_it_all_ends, 0, 2);

	tc = add_group(s, "crash");
	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, killed_at_every_call, 0, sizeof(calls) / sizeof(calls[0]));
	tcase_add_loop_test(tc, killed_while_it_takes_over, 0, sizeof(takeover_calls) / sizeof(takeover_calls[0]));
	return s;
}
