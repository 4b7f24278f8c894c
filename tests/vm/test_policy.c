// SPDX-License-Identifier: MIT
/* Policy: which users can lease which slices, their limits, and what lists show them. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "lender.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

static void as_stranger(void)
{
	struct vdb_client *client = broker_connect();

	if (broker_acquire_error(client, "edu/page", 0, 0, 0) != ENOENT ||
	    broker_acquire_error(client, "edu/look", 0, 0, 0) != ENOENT)
		_exit(1);
	broker_acquire(client, "edu/array", 0);
}

static void as_client(void)
{
	broker_acquire(broker_connect(), "edu/page", 0);
}

static void as_member(void)
{
	struct vdb_lease lease;

	lease = broker_acquire(broker_connect(), "edu/look", 0);
	if (vdb_slice_flags(lease.slice) != VDB_FLAG_READ_ONLY)
		_exit(1);
}

static void as_second_group(void)
{
	as_member();
}

START_TEST(users_and_groups)
{
	int status;
	pid_t pid;

	broker_as_user(3000, 3000, as_stranger);
	broker_as_user(1000, 1000, as_client);
	broker_as_user(3000, 2000, as_member);
	/* A supplementary group counts as well. */
	pid = fork();
	if (!pid) {
		gid_t group = 2000;

		if (setgroups(1, &group) || setgid(3000) || setuid(3000))
			_exit(99);
		as_second_group();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* All groups of a client count, regardless of their number. */
START_TEST(many_groups)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		gid_t groups[1000];

		for (int i = 0; i < 1000; i++)
			groups[i] = 1001 + i;
		if (setgroups(1000, groups) || setgid(3000) || setuid(3000))
			_exit(99);
		as_member();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void in_cgroup(const char *path, int expected)
{
	char file[1024], number[16];
	struct vdb_lease lease;
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct vdb_client *client;

		snprintf(file, sizeof(file), "/sys/fs/cgroup%s/cgroup.procs", path);
		snprintf(number, sizeof(number), "%d", getpid());
		if (file_write(file, number))
			_exit(98);
		client = broker_connect();
		_exit(vdb_client_acquire(client, "edu/unit", 0, 0, 0, 0, &lease) ? errno : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), expected);
}

/* The former test may have done it. */
static void mount_cgroups(void)
{
	ck_assert(!mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) || errno == EBUSY);
	mkdir("/sys/fs/cgroup/test", 0755);
}

/* A directory below another one; the path grows by it. */
static void add_cgroup(char path[1024], const char *name)
{
	char directory[1100];

	strcat(path, "/");
	strcat(path, name);
	snprintf(directory, sizeof(directory), "/sys/fs/cgroup%s", path);
	ck_assert(!mkdir(directory, 0755) || errno == EEXIST);
}

static void add_long_cgroups(char path[1024])
{
	char name[255];

	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < 2; i++)
		add_cgroup(path, name);
}

START_TEST(cgroups)
{
	mount_cgroups();
	mkdir("/sys/fs/cgroup/test/allowed", 0755);
	mkdir("/sys/fs/cgroup/test/allowed/below", 0755);
	mkdir("/sys/fs/cgroup/test/allowed2", 0755);
	in_cgroup("/test/allowed", 0);
	in_cgroup("/test/allowed/below", 0);
	in_cgroup("/test/allowed2", ENOENT);
	in_cgroup("/test", ENOENT);
}
END_TEST

/*
 * A user with a delegated cgroup chooses the names below it. No name may make it look
 * like another cgroup, also if a reader with a buffer of about 512 bytes would cut the
 * line in two.
 */
START_TEST(long_cgroups)
{
	char path[1024];

	mount_cgroups();
	for (int pad = 1; pad < 16; pad++) {
		char name[32];

		path[0] = '\0';
		add_long_cgroups(path);
		snprintf(name, sizeof(name), "%.*s", pad, "aaaaaaaaaaaaaaaa");
		add_cgroup(path, name);
		add_cgroup(path, "0::");
		add_cgroup(path, "test");
		add_cgroup(path, "allowed");
		in_cgroup(path, ENOENT);
	}
	strcpy(path, "/test");
	add_cgroup(path, "allowed");
	add_long_cgroups(path);
	in_cgroup(path, 0);
}
END_TEST

/* The kernel writes that behind the path of one that does not exist any more; anybody can, too. */
START_TEST(name_of_a_deleted_cgroup)
{
	mount_cgroups();
	mkdir("/sys/fs/cgroup/test/allowed (deleted)", 0755);
	in_cgroup("/test/allowed (deleted)", ENOENT);
}
END_TEST

static bool count(const struct vdb_lease_info *info, void *data)
{
	(void)info;
	++*(int *)data;
	return true;
}

static bool count_slices(const struct vdb_slice_info *info, void *data)
{
	(void)info;
	++*(int *)data;
	return true;
}

static bool count_devices(const struct vdb_device_info *info, void *data)
{
	(void)info;
	++*(int *)data;
	return true;
}

static void list_as_ordinary(void)
{
	struct vdb_client *client = broker_connect();
	int slices = 0, leases = 0;

	if (vdb_client_slices(client, count_slices, &slices) ||
	    vdb_client_leases(client, count, &leases))
		_exit(1);
	/* Without edu/page, edu/look and edu/unit, and without leases of others. */
	if (slices != 6 || leases != 0)
		_exit(2);
	if (!vdb_client_devices(client, count_devices, &slices) || errno != EPERM)
		_exit(3);
	if (!vdb_client_revoke(client, 1) || errno != EPERM)
		_exit(4);
}

static void list_as_admin(void)
{
	struct vdb_client *client = broker_connect();
	int slices = 0, leases = 0, devices = 0;

	if (vdb_client_slices(client, count_slices, &slices) ||
	    vdb_client_leases(client, count, &leases) ||
	    vdb_client_devices(client, count_devices, &devices))
		_exit(1);
	if (slices != 9 || leases != 1 || devices != 3)
		_exit(2);
	if (broker_acquire_error(client, "edu/page", 0, 0, 0) != ENOENT)
		_exit(3);
}

static void list_as_crowded_admin(void)
{
	int leases = 0;

	if (vdb_client_leases(broker_connect(), count, &leases) || leases != 8)
		_exit(1);
}

static bool check_lease(const struct vdb_lease_info *info, void *data)
{
	const struct vdb_lease *lease = data;

	ck_assert_uint_eq(info->id, lease->id);
	ck_assert_str_eq(info->name, "edu/array");
	ck_assert_uint_eq(info->index, 5);
	ck_assert_uint_eq(info->offset, 13 * PAGE);
	ck_assert_uint_eq(info->pid, getpid());
	ck_assert_uint_eq(info->uid, 0);
	ck_assert_int_eq(info->state, VDB_STATE_LIVE);
	ck_assert_str_eq(info->bdf, lab_bdf("EDU"));
	ck_assert_str_eq(info->client, program_invocation_short_name);
	return true;
}

START_TEST(lists_show_what_one_may_know)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/array", 5);

	ck_assert_works(vdb_client_leases(client, check_lease, &lease));
	broker_as_user(3000, 3000, list_as_ordinary);
	broker_as_user(1001, 1001, list_as_admin);
}
END_TEST

static void as_one_with_many(void)
{
	struct vdb_client *clients[5];

	for (int i = 0; i < 5; i++)
		clients[i] = broker_connect();
	/* One more of the same user.  That it is refused comes at any time. */
	for (int i = 0; i < 100; i++) {
		errno = 0;
		ck_assert_ptr_null(vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL));
		ck_assert_int_eq(errno, ENOTCONN);
	}
	for (int i = 0; i < 4; i++)
		broker_acquire(clients[0], "edu/array", VDB_ANY_INDEX);
	ck_assert_int_eq(broker_acquire_error(clients[0], "edu/array", VDB_ANY_INDEX, 0, 0), EDQUOT);
	for (int i = 0; i < 2; i++)
		broker_acquire(clients[1], "edu/array", VDB_ANY_INDEX);
	ck_assert_int_eq(broker_acquire_error(clients[1], "edu/array", VDB_ANY_INDEX, 0, 0), EDQUOT);
	vdb_client_close(clients[4]);
	/* The place is free as soon as the broker has seen that. */
	while (!(clients[4] = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL)))
		ck_assert_int_eq(errno, ENOTCONN);
}

START_TEST(limits_hold)
{
	broker_as_user(3000, 3000, as_one_with_many);
}
END_TEST

/* A child of another user with a number of connections, and leases on each, until it is killed. */
static pid_t hold(uid_t uid, int connections, int leases)
{
	int report[2];
	char byte;
	pid_t pid;

	ck_assert_works(pipe(report));
	pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) || setgid(uid) || setuid(uid))
			_exit(99);
		while (connections--) {
			struct vdb_client *client = broker_connect();

			for (int i = 0; i < leases; i++)
				broker_acquire(client, "edu/shared", 0);
		}
		if (write(report[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(report[1]);
	ck_assert_int_eq(read(report[0], &byte, 1), 1);
	close(report[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

static void as_one_too_many(void)
{
	if (vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL))
		_exit(1);
}

/* None of the connections is idle. An administrator can still list all leases, and revoke them. */
START_TEST(connections_are_kept_for_administrators)
{
	pid_t first = hold(3000, 5, 1), second = hold(3001, 3, 1);
	int leases = 0;

	broker_as_user(3002, 3002, as_one_too_many);
	broker_as_user(1001, 1001, list_as_crowded_admin);
	for (int i = 0; i < 4; i++)
		ck_assert_works(vdb_client_leases(broker_connect(), count, &leases));
	ck_assert_int_eq(leases, 4 * 8);
	/* These are counted, too. */
	ck_assert_ptr_null(vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL));
	end_child(first);
	end_child(second);
}
END_TEST

static void as_one_without_lease(void)
{
	ck_assert_int_eq(broker_acquire_error(broker_connect(), "edu/shared", 0, 0, 0), EDQUOT);
}

START_TEST(leases_are_kept_for_administrators)
{
	pid_t first = hold(3000, 2, 3), second = hold(3001, 1, 2);
	struct vdb_client *client;

	broker_as_user(3002, 3002, as_one_without_lease);
	client = broker_connect();
	for (int i = 0; i < 4; i++)
		broker_acquire(client, "edu/shared", 0);
	ck_assert_int_eq(broker_acquire_error(broker_connect(), "edu/shared", 0, 0, 0), EDQUOT);
	end_child(first);
	end_child(second);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("policy");
	TCase *tc = add_group(s, "policy");

	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, users_and_groups);
	add_test_or_skip(tc, cgroups, access("/sys/fs/cgroup", F_OK) ? "the kernel has no cgroups" : NULL);
	add_test_or_skip(tc, long_cgroups, access("/sys/fs/cgroup", F_OK) ? "the kernel has no cgroups" : NULL);
	add_test_or_skip(tc, name_of_a_deleted_cgroup, access("/sys/fs/cgroup", F_OK) ? "the kernel has no cgroups" : NULL);
	tcase_add_test(tc, lists_show_what_one_may_know);
	tcase_add_test(tc, many_groups);

	tc = add_group(s, "limits");
	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, limits_hold);
	tcase_add_test(tc, connections_are_kept_for_administrators);
	tcase_add_test(tc, leases_are_kept_for_administrators);
	return s;
}
