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
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
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
	broker_stop(broker, SIGKILL);
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
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_DEVICE);
	broker_expect(client, kept.id, VDB_REVOKED, VDB_END_DEVICE);
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

/*
 * The life of a client, in a process of its own: acquire, use, release, twice.
 * It may fail in ways that the protocol has for it, and asks again then.
 */
static int live(void)
{
	struct vdb_client *client = NULL;
	int errors = 0;

	vdb_guard_enable();
	for (int round = 0; round < 2; ) {
		struct vdb_lease lease;
		uint32_t value;
		char *map;

		if (errors > 20)
			return 1;
		if (!client && !(client = vdb_client_connect(MANAGER_SOCKET))) {
			errors++;
			continue;
		}
		if (vdb_client_acquire(client, "edu/page", 0, 0, 0, &lease)) {
			/* Told to ask again, or to connect again. */
			if (errno != EIO && errno != ENOTCONN)
				return 2;
			if (errno == ENOTCONN) {
				vdb_client_close(client);
				client = NULL;
			}
			errors++;
			continue;
		}
		map = vdb_slice_map(lease.slice, 0, 0, RW);
		if (map && !vdb_try_read32(map, &value) && value != EDU_ID_VALUE)
			return 3;
		/* Gone without having been told? */
		if (map && vdb_try_read32(map, &value) &&
		    vdb_slice_state(lease.slice, NULL) != VDB_REVOKED)
			return 4;
		if (vdb_client_release(client, lease.id)) {
			if (errno != ENOENT && errno != ENOTCONN)
				return 5;
			if (errno == ENOTCONN) {
				vdb_client_close(client);
				client = NULL;
			}
		}
		if (map && !vdb_try_read32(map, &value))
			return 6;
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

	char options[128];
	struct vdb_client *survivor;
	int status, deaths = 0;
	pid_t client;

	snprintf(options, sizeof(options), "-e trace=%s -e inject=%s:signal=KILL:when=%d", call, call, nth);
	setup();
	broker = broker_start_traced(options);
	if (!broker)
		deaths++, broker = broker_start();
	client = fork();
	if (!client)
		_exit(live());
	/* Whenever it dies it comes back, as the service manager would do. */
	for (;;) {
		pid_t pid = waitpid(-1, &status, 0);

		if (pid == client)
			break;
		if (pid == broker) {
			deaths++;
			broker = broker_start();
		}
		ck_assert_works(pid);
	}
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status),
		      "%s %d: the client ended with %x after %d deaths of the broker",
		      call, nth, status, deaths);

	/* Everything is as after a peaceful life, whether it has died by now or not. */
	broker_stop(broker, SIGKILL);
	broker = broker_start();
	ck_assert_uint_eq(manager_count("client-"), 0);
	ck_assert_uint_eq(manager_count("lease-"), 0);
	survivor = broker_connect();
	broker_acquire(survivor, "edu/page", 0);
	vdb_client_close(survivor);
	broker_stop(broker, SIGKILL);
	return deaths;
}

static const char *const calls[] = { "sendmsg", "recvmsg", "recvfrom", "ioctl", "close" };

START_TEST(killed_at_every_call)
{
	int nth = 1;

	while (killed_at(calls[_i], nth))
		nth++;
	/* Enough to have been in the middle of things. */
	ck_assert_int_gt(nth, 3);
}
END_TEST

/* Kills a client, the command, at its @nth call; false if it came to its end. */
static bool client_killed_at(const char *call, int nth)
{
	char command[256];
	int status;

	snprintf(command, sizeof(command),
		 "strace -f -o /dev/null -e trace=%s -e inject=%s:signal=KILL:when=%d "
		 "/usr/bin/vfio-dmabuf read -S " MANAGER_SOCKET " edu/page 0 >/dev/null 2>&1", call, call, nth);
	status = system(command);
	/* strace ends as the program did. */
	ck_assert_msg(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL),
		      "%s %d: status %x", call, nth, status);
	return status;
}

static const char *const client_calls[] = { "sendmsg", "recvmsg", "mmap", "close" };

START_TEST(client_killed_at_every_call)
{
	struct vdb_client *other;
	struct vdb_lease lease;
	int nth = 0;
	bool killed;

	setup();
	broker = broker_start();
	other = broker_connect();
	do {
		killed = client_killed_at(client_calls[_i], ++nth);
		/* The broker may not have heard of it yet. */
		while (vdb_client_acquire(other, "edu/page", 0, 0, 0, &lease))
			ck_assert_int_eq(errno, EBUSY);
		ck_assert_works(vdb_client_release(other, lease.id));
		vdb_slice_free(lease.slice);
	} while (killed);
	ck_assert_int_gt(nth, 2);
	ck_assert_uint_eq(manager_count("client-"), 1);
	teardown();
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

	tc = add_group(s, "damage");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, damaged_state_ends_everything, 0, 2);
	tcase_add_test(tc, lease_that_was_not_kept);
	tcase_add_test(tc, device_that_was_not_kept);
	tcase_add_loop_test(tc, without_a_store_it_all_ends, 0, 2);

	tc = add_group(s, "crash");
	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, killed_at_every_call, 0, 5);
	tcase_add_loop_test(tc, client_killed_at_every_call, 0, 4);
	return s;
}
