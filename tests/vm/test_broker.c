// SPDX-License-Identifier: MIT
/* The broker: who gets what, for how long, and what ends it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "client.h"
#include "crash.h"
#include "device.h"
#include "edu.h"
#include "manager.h"
#include "memory.h"
#include "suite.h"
#include "sysfs.h"

#define PAGE	0x1000UL
#define RW	(PROT_READ | PROT_WRITE)

static const char config[] =
	"user = \"client\"\n"
	"max_clients = 8\n"
	"max_clients_per_user = 5\n"
	"max_leases = 8\n"
	"max_leases_per_client = 4\n"
	"max_leases_per_user = 6\n"
	"admin_users = { \"1001\" }\n"
	"device \"edu\" {\n"
	"	bdf = \"@EDU@\"\n"
	"	reset = never\n"
	"	slice \"page\" { length = 0x1000  users = { \"root\", \"1000\" }\n"
	"		quiesce = { \"0x4:32=0x11111111\", \"0x4:32=0x12345678\" } }\n"
	"	slice \"shared\" { length = 0x1000 offset = 0x1000 sharing = shared users = { \"*\" } }\n"
	"	slice \"inside\" { length = 0x4000  users = { \"*\" } }\n"
	"	slice \"array\" { length = 0x1000 offset = 0x8000 count = 8 users = { \"*\" } }\n"
	"	slice \"look\" { length = 0x1000 offset = 0x10000 read_only = true\n"
	"		sharing = shared groups = { \"2000\" } }\n"
	"	slice \"short\" { length = 0x1000 offset = 0x20000 max_seconds = 1 users = { \"*\" } }\n"
	"	slice \"unit\" { length = 0x1000 offset = 0x30000 cgroups = { \"/test/allowed\" } }\n"
	"}\n"
	"device \"nvme\" {\n"
	"	bdf = \"@NVME@\"\n"
	"	reset = always\n"
	"	slice \"registers\" { length = 0x1000 sharing = shared users = { \"*\" } }\n"
	"}\n"
	"device \"mem\" {\n"
	"	reset = never\n"
	"	bdf = \"@IVSHMEM@\"\n"
	"	slice \"wc\" { bar = 2 length = 0x200000 memory = \"write-combining\" users = { \"*\" } }\n"
	"}\n";

static pid_t broker;

static void setup(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

static void teardown(void)
{
	broker_stop(broker, SIGTERM);
}

static int acquire_error(struct vdb_client *client, const char *name, uint32_t index,
			 unsigned int flags, uint32_t seconds)
{
	struct vdb_lease lease;

	errno = 0;
	ck_assert_int_eq(vdb_client_acquire(client, name, index, flags, seconds, &lease), -1);
	ck_assert_str_ne(vdb_client_error(client), "");
	return errno;
}

/* Becomes another user in a child of the test, which then connects. */
static void in_child(uid_t uid, gid_t gid, void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setgroups(0, NULL) || setgid(gid) || setuid(uid))
			_exit(99);
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!status, "the child of user %u failed: %x", uid, status);
}

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
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_LIVE);
	ck_assert_uint_eq(lease.seconds, 0);

	ck_assert_works(vdb_guard_enable());
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_REVOKED);
	ck_assert_fails(vdb_client_release(client, lease.id), ENOENT);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

/* One that has no fd free keeps its connection and what it has. */
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
	ck_assert_int_eq(acquire_error(client, "edu/page", 0, 0, 0), EMFILE);
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &before));
	broker_acquire(broker_connect(), "edu/page", 0);
	ck_assert_int_eq(vdb_slice_state(first.slice, NULL), VDB_LIVE);
	ck_assert_works(vdb_client_release(client, first.id));
}
END_TEST

START_TEST(attributes_are_those_of_the_configuration)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "mem/wc", 0);

	ck_assert_uint_eq(vdb_slice_flags(lease.slice), VDB_WC);
	ck_assert_uint_eq(vdb_slice_bar(lease.slice), 2);
	ck_assert_ptr_nonnull(vdb_slice_map(lease.slice, 0, 0, RW));
	ck_assert_works(vdb_client_acquire(client, "edu/shared", 0, VDB_READ_ONLY, 0, &lease));
	ck_assert_uint_eq(vdb_slice_flags(lease.slice), VDB_READ_ONLY);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(lease.slice, 0, 0, RW));
	ck_assert_int_eq(errno, EACCES);
}
END_TEST

START_TEST(exclusive_is_for_one)
{
	struct vdb_client *a = broker_connect(), *b = broker_connect();
	struct vdb_lease lease = broker_acquire(a, "edu/page", 0);

	ck_assert_int_eq(acquire_error(b, "edu/page", 0, 0, 0), EBUSY);
	ck_assert_int_eq(acquire_error(a, "edu/page", 0, 0, 0), EBUSY);
	/* Another name for pages that include this one. */
	ck_assert_int_eq(acquire_error(b, "edu/inside", 0, 0, 0), EBUSY);
	ck_assert_works(vdb_client_release(a, lease.id));
	lease = broker_acquire(b, "edu/inside", 0);
	ck_assert_int_eq(acquire_error(a, "edu/page", 0, 0, 0), EBUSY);
	ck_assert_int_eq(acquire_error(a, "edu/shared", 0, 0, 0), EBUSY);
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
	ck_assert_int_eq(acquire_error(a, "edu/inside", 0, 0, 0), EBUSY);
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
	ck_assert_uint_eq(vdb_slice_offset(leases[3].slice), 0x8000 + 3 * PAGE);
	ck_assert_works(vdb_client_release(client, leases[2].id));
	ck_assert_int_eq(acquire_error(client, "edu/array", 1, 0, 0), EBUSY);
	ck_assert_int_eq(acquire_error(client, "edu/array", 8, 0, 0), EINVAL);
	ck_assert_uint_eq(broker_acquire(client, "edu/array", VDB_ANY_INDEX).index, 2);
}
END_TEST

START_TEST(bad_requests_change_nothing)
{
	struct vdb_client *client = broker_connect();

	ck_assert_int_eq(acquire_error(client, "edu/nothing", 0, 0, 0), ENOENT);
	ck_assert_int_eq(acquire_error(client, "", 0, 0, 0), ENOENT);
	ck_assert_int_eq(acquire_error(client, "edu/page", 1, 0, 0), EINVAL);
	ck_assert_int_eq(acquire_error(client, "edu/page", 0, VDB_WC, 0), EINVAL);
	ck_assert_int_eq(acquire_error(client, "edu/short", 0, 0, 2), EINVAL);
	ck_assert_fails(vdb_client_renew(client, 77, 0), ENOENT);
	ck_assert_fails(vdb_client_release(client, 77), ENOENT);
	broker_acquire(client, "edu/page", 0);
}
END_TEST

/* ---- policy ---- */

static void as_stranger(void)
{
	struct vdb_client *client = broker_connect();

	if (acquire_error(client, "edu/page", 0, 0, 0) != ENOENT ||
	    acquire_error(client, "edu/look", 0, 0, 0) != ENOENT)
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
	if (vdb_slice_flags(lease.slice) != VDB_READ_ONLY)
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

	in_child(3000, 3000, as_stranger);
	in_child(1000, 1000, as_client);
	in_child(3000, 2000, as_member);
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

/* However many groups a client is in, all of them count. */
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
		_exit(vdb_client_acquire(client, "edu/unit", 0, 0, 0, &lease) ? errno : 0);
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
 * Who has a cgroup of his own names those below it as he likes: none makes him
 * another one, wherever a reader with a buffer of 512 bytes and some might cut
 * the line in two.
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

static void count(const struct vdb_lease_info *info, void *data)
{
	(void)info;
	++*(int *)data;
}

static void count_slices(const struct vdb_slice_info *info, void *data)
{
	(void)info;
	++*(int *)data;
}

static void count_devices(const struct vdb_device_info *info, void *data)
{
	(void)info;
	++*(int *)data;
}

static void list_as_ordinary(void)
{
	struct vdb_client *client = broker_connect();
	int slices = 0, leases = 0;

	if (vdb_client_slices(client, count_slices, &slices) ||
	    vdb_client_leases(client, count, &leases))
		_exit(1);
	/* Neither edu/page nor edu/look nor edu/unit, and nobody else's lease. */
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
	if (acquire_error(client, "edu/page", 0, 0, 0) != ENOENT)
		_exit(3);
}

static void list_as_crowded_admin(void)
{
	int leases = 0;

	if (vdb_client_leases(broker_connect(), count, &leases) || leases != 5)
		_exit(1);
}

static unsigned int count_fds(pid_t pid)
{
	char path[64], line[256];
	unsigned int nr = 0;
	FILE *ls;

	snprintf(path, sizeof(path), "ls /proc/%d/fd", pid);
	ls = popen(path, "r");
	while (fgets(line, sizeof(line), ls))
		nr++;
	pclose(ls);
	return nr;
}

/* Waits until the broker has so many, as long as the test may: it closes one after the other. */
static void wait_fds(unsigned int nr)
{
	while (count_fds(broker) != nr)
		usleep(10000);
}

static void check_lease(const struct vdb_lease_info *info, void *data)
{
	const struct vdb_lease *lease = data;

	ck_assert_uint_eq(info->id, lease->id);
	ck_assert_str_eq(info->name, "edu/array");
	ck_assert_uint_eq(info->index, 5);
	ck_assert_uint_eq(info->offset, 0x8000 + 5 * PAGE);
	ck_assert_uint_eq(info->pid, getpid());
	ck_assert_uint_eq(info->uid, 0);
	ck_assert_int_eq(info->state, VDB_LIVE);
	ck_assert_str_eq(info->bdf, lab_bdf("EDU"));
	ck_assert_str_eq(info->client, program_invocation_short_name);
}

START_TEST(lists_show_what_one_may_know)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/array", 5);

	ck_assert_works(vdb_client_leases(client, check_lease, &lease));
	in_child(3000, 3000, list_as_ordinary);
	in_child(1001, 1001, list_as_admin);
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
		ck_assert_ptr_null(vdb_client_connect(MANAGER_SOCKET));
		ck_assert_int_eq(errno, EDQUOT);
	}
	for (int i = 0; i < 4; i++)
		broker_acquire(clients[0], "edu/array", VDB_ANY_INDEX);
	ck_assert_int_eq(acquire_error(clients[0], "edu/array", VDB_ANY_INDEX, 0, 0), EDQUOT);
	for (int i = 0; i < 2; i++)
		broker_acquire(clients[1], "edu/array", VDB_ANY_INDEX);
	ck_assert_int_eq(acquire_error(clients[1], "edu/array", VDB_ANY_INDEX, 0, 0), EDQUOT);
	vdb_client_close(clients[4]);
	/* The place is free as soon as the broker has seen that. */
	while (!(clients[4] = vdb_client_connect(MANAGER_SOCKET)))
		ck_assert_int_eq(errno, EDQUOT);
}

START_TEST(limits_hold)
{
	in_child(3000, 3000, as_one_with_many);
}
END_TEST

/* A child of another user that has so many connections, and leases on each, until it is killed. */
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
	if (vdb_client_connect(MANAGER_SOCKET))
		_exit(1);
}

/* All the connections are somebody's; an administrator can still see who has what, and end it. */
START_TEST(connections_are_kept_for_administrators)
{
	pid_t first = hold(3000, 5, 1), second = hold(3001, 3, 0);
	int leases = 0;

	in_child(3002, 3002, as_one_too_many);
	in_child(1001, 1001, list_as_crowded_admin);
	for (int i = 0; i < 4; i++)
		ck_assert_works(vdb_client_leases(broker_connect(), count, &leases));
	ck_assert_int_eq(leases, 4 * 5);
	/* These are counted, too. */
	ck_assert_ptr_null(vdb_client_connect(MANAGER_SOCKET));
	end_child(first);
	end_child(second);
}
END_TEST

static void as_one_without_lease(void)
{
	ck_assert_int_eq(acquire_error(broker_connect(), "edu/shared", 0, 0, 0), EDQUOT);
}

START_TEST(leases_are_kept_for_administrators)
{
	pid_t first = hold(3000, 2, 3), second = hold(3001, 1, 2);
	struct vdb_client *client;

	in_child(3002, 3002, as_one_without_lease);
	client = broker_connect();
	for (int i = 0; i < 4; i++)
		broker_acquire(client, "edu/shared", 0);
	ck_assert_int_eq(acquire_error(broker_connect(), "edu/shared", 0, 0, 0), EDQUOT);
	end_child(first);
	end_child(second);
}
END_TEST

START_TEST(silent_connections_are_closed)
{
	int silent = raw_connect(), greeted = raw_connect_greeted();
	struct pollfd p = { .fd = greeted, .events = POLLIN };
	char byte;

	ck_assert_int_eq(recv(silent, &byte, 1, 0), 0);
	ck_assert(broker_logged("it says no hello"));
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	close(silent);
	close(greeted);
}
END_TEST

static unsigned int count_lines(const char *text)
{
	unsigned int count = 0;
	char line[1024];
	FILE *file = fopen(BROKER_LOG, "r");

	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return count;
}

/* Whoever only connects costs the log and the service manager next to nothing. */
START_TEST(connections_alone_cost_little)
{
	struct vdb_client *client = broker_connect();
	unsigned int before = manager_messages(), fds = count_fds(broker);

	for (int i = 0; i < 50; i++)
		close(raw_connect());
	/* Its hello is read when all those before it are accepted. */
	vdb_client_close(broker_connect());
	broker_acquire(client, "edu/page", 0);
	wait_fds(fds + 2);
	/* Two and a lease have been given to it, and one taken out. */
	ck_assert_uint_le(manager_messages() - before, 5);
	ck_assert_uint_ge(count_lines("it has closed the connection"), 5);
	ck_assert_uint_le(count_lines(" goes: "), 10);
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
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_EXPIRED);
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
	in_child(1001, 1001, revoke_as_admin);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_REVOKED);
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
	broker_wait_log("the client is gone");
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
	ck_assert_int_eq(acquire_error(client, "edu/page", 0, 0, 0), EBUSY);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	broker_wait_log("the client is gone");
	broker_acquire(client, "edu/page", 0);
	ck_assert_int_eq(write(go[1], "", 1), 1);
	ck_assert_int_eq(read(report[0], &answer, sizeof(answer)), sizeof(answer));
	ck_assert_int_eq(answer, -1);
	ck_assert_int_eq(read(report[0], &answer, sizeof(answer)), sizeof(answer));
	ck_assert_int_eq(answer, ENODEV);
}
END_TEST

/* ---- the device ---- */

/* The edu's register at 4 reads as what was written last, inverted. */
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

/* A reset clears CC of the controller, and the other lease is told of it. */
START_TEST(device_is_reset_at_the_end)
{
	struct vdb_client *a = broker_connect(), *b = broker_connect();
	struct vdb_lease first = broker_acquire(a, "nvme/registers", 0);
	struct vdb_lease second = broker_acquire(b, "nvme/registers", 0);
	char *map = vdb_slice_map(second.slice, 0, 0, RW);
	uint64_t before, after;

	vdb_write32(map + 0x14, 0x00460000);
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0x00460000);
	ck_assert_int_eq(vdb_slice_state(second.slice, &before), VDB_LIVE);
	ck_assert_works(vdb_client_release(a, first.id));
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0);
	ck_assert_int_eq(vdb_slice_state(second.slice, &after), VDB_LIVE);
	ck_assert_uint_eq(after, before + 2);
}
END_TEST

START_TEST(suspension_is_told)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "nvme/registers", 0);
	struct device raw = { .bdf = lab_bdf("NVME") };

	raw.fd = manager_fd(broker_name_of_device("NVME"));
	ck_assert_works(raw.fd);
	device_set_memory(&raw, false);
	broker_expect(client, lease.id, VDB_SUSPENDED, VDB_END_NONE);
	device_set_memory(&raw, true);
	broker_expect(client, lease.id, VDB_LIVE, VDB_END_NONE);
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
	broker_expect(other, beside.id, VDB_SUSPENDED, VDB_END_NONE);
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert(broker_logged("cannot be put in order"));
	broker_expect(other, beside.id, VDB_REVOKED, VDB_END_DEVICE);
	ck_assert_int_eq(acquire_error(other, "edu/page", 0, 0, 0), ENODEV);
	broker_acquire(client, "nvme/registers", 0);

	broker_stop(broker, SIGTERM);
	broker = broker_start();
	broker_acquire(other, "edu/page", 0);
}
END_TEST

START_TEST(device_goes_back_to_the_kernel)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "nvme/registers", 0);

	ck_assert_works(driver_unbind(lab_bdf("NVME")));
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_DEVICE);
	ck_assert_int_eq(acquire_error(client, "nvme/registers", 0, 0, 0), ENODEV);
	broker_acquire(client, "edu/page", 0);
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

/* ---- the protocol ---- */

static enum vdp_error_code error_of(const void *answer, ssize_t size)
{
	const struct vdp_error *error = answer;

	ck_assert_int_eq(size, sizeof(*error));
	ck_assert_uint_eq(error->header.type, VDP_ERROR);
	ck_assert_int_eq(error->text[sizeof(error->text) - 1], 0);
	ck_assert_int_ne(error->text[0], 0);
	return error->code;
}

static void check_closed(int fd)
{
	char byte;

	ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

START_TEST(malformed_messages_end_the_connection)
{
	struct vdp_acquire request = {
		.header = { .type = VDP_ACQUIRE, .serial = 9 }, .name = "edu/page",
	};
	size_t size = sizeof(request);
	char answer[VDP_MAX_MESSAGE], big[1000] = { 0 };
	const void *data = &request;
	int fd = raw_connect_greeted();

	switch (_i) {
	case 0: size--; break;
	case 1: size = 1; break;
	case 2: request.header.serial = 0; break;
	case 3: request.header.reserved = 1; break;
	case 4: request.reserved = 1; break;
	case 5: memset(request.name, 'x', sizeof(request.name)); break;
	case 6: request.name[20] = 'x'; break;
	case 7: memcpy(big, &request, size); data = big; size = sizeof(big); break;
	}
	ck_assert_int_eq(error_of(answer, raw_ask(fd, data, size, answer)), VDP_ERROR_MALFORMED);
	check_closed(fd);
	broker_wait_log("malformed message of raw");
	broker_acquire(broker_connect(), "edu/page", 0);
}
END_TEST

START_TEST(hello_comes_first)
{
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 5 } };
	struct vdp_hello hello = {
		.header = { .type = VDP_HELLO, .serial = 1 },
		.min_version = 2, .max_version = 9,
	};
	char answer[VDP_MAX_MESSAGE];
	int fd = raw_connect();

	ck_assert_int_eq(error_of(answer, raw_ask(fd, &list, sizeof(list), answer)), VDP_ERROR_NO_HELLO);
	check_closed(fd);
	fd = raw_connect();
	ck_assert_int_eq(error_of(answer, raw_ask(fd, &hello, sizeof(hello), answer)), VDP_ERROR_VERSION);
	check_closed(fd);
	hello.min_version = 1;
	fd = raw_connect();
	ck_assert_int_eq(raw_ask(fd, &hello, sizeof(hello), answer), sizeof(struct vdp_hello_answer));
	ck_assert_uint_eq(((struct vdp_hello_answer *)answer)->version, 1);
	list.header.type = 77;
	ck_assert_int_eq(error_of(answer, raw_ask(fd, &list, sizeof(list), answer)), VDP_ERROR_UNKNOWN);
	ck_assert_int_eq(error_of(answer, raw_ask(fd, &hello, sizeof(hello), answer)), VDP_ERROR_MALFORMED);
	check_closed(fd);
}
END_TEST

/* In another language, without our library: what docs/protocol.md says is enough. */
START_TEST(client_in_python)
{
	int status = system("python3 /lab/client.py " MANAGER_SOCKET " edu/page 0x010000ed 1>&2");

	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(fds_in_requests_are_not_taken)
{
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 5 } };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { &list, sizeof(list) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int other = raw_connect_greeted(), fd, pipes[2];
	unsigned int before = count_fds(broker);
	char answer[VDP_MAX_MESSAGE];

	fd = raw_connect_greeted();
	ck_assert_works(pipe(pipes));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &pipes[1], sizeof(int));
	ck_assert_int_eq(sendmsg(fd, &message, 0), sizeof(list));
	ck_assert_int_eq(error_of(answer, recv(fd, answer, sizeof(answer), 0)), VDP_ERROR_MALFORMED);
	check_closed(fd);
	close(pipes[1]);
	/* Nobody has the other end. */
	ck_assert_int_eq(read(pipes[0], answer, 1), 0);
	wait_fds(before);
	close(other);
}
END_TEST

/*
 * A client that asks and never reads: others are served, nothing grows, and when
 * it reads at last it gets every answer.
 */
static unsigned long resident(pid_t pid)
{
	char path[64], text[4096], *line;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	ck_assert_works(file_read(path, text, sizeof(text)));
	line = strstr(text, "VmRSS:");
	ck_assert_ptr_nonnull(line);
	return strtoul(line + 6, NULL, 10);
}

START_TEST(slow_reader_holds_up_nobody)
{
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES } };
	struct vdb_client *client = broker_connect();
	unsigned int asked = 0, done = 0;
	char answer[VDP_MAX_MESSAGE];
	int fd = raw_connect_greeted();
	struct vdb_lease lease;
	unsigned long memory;
	unsigned int fds;

	lease = broker_acquire(client, "edu/page", 0);
	ck_assert_works(vdb_client_release(client, lease.id));
	memory = resident(broker);
	fds = count_fds(broker);
	for (;;) {
		list.header.serial = ++asked;
		if (send(fd, &list, sizeof(list), MSG_DONTWAIT) != sizeof(list))
			break;
	}
	asked--;
	ck_assert_uint_gt(asked, 5);
	for (int i = 0; i < 20; i++) {
		lease = broker_acquire(client, "edu/page", 0);
		ck_assert_works(vdb_client_release(client, lease.id));
		vdb_slice_free(lease.slice);
	}
	ck_assert_uint_eq(count_fds(broker), fds);
	/* An allocator that checks what is freed keeps some of it, kB. */
	ck_assert_uint_le(resident(broker), memory + 512);
	while (done < asked) {
		const struct vdp_header *header = (void *)answer;

		ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
		if (header->type == (VDP_LIST_SLICES | VDP_ANSWER))
			ck_assert_uint_eq(header->serial, ++done);
	}
}
END_TEST

/* The kernel may have no room for fds in flight just now: nobody loses anything. */
START_TEST(slice_that_cannot_be_sent)
{
	struct vdb_client *client;
	char options[128];
	int nth;

	broker_stop(broker, SIGTERM);
	manager_forget("");
	nth = crash_find_answer("sendmsg", "edu/array");
	manager_forget("");
	snprintf(options, sizeof(options), "-e trace=sendmsg -e inject=sendmsg:error=ETOOMANYREFS:when=%d", nth);
	broker = broker_start_traced(options);
	client = broker_connect();
	ck_assert_int_eq(acquire_error(client, "edu/array", 0, 0, 0), EIO);
	broker_acquire(client, "edu/array", 0);
	broker_stop(broker, SIGKILL);
	broker = broker_start();
}
END_TEST

/* ---- configuration ---- */

static const char smaller[] =
	"user = \"client\"\n"
	"device \"edu\" {\n"
	"	bdf = \"@EDU@\"\n"
	"	reset = never\n"
	"	slice \"page\" { length = 0x1000  users = { \"1000\" } }\n"
	"	slice \"array\" { length = 0x1000 offset = 0x8000 count = 4 users = { \"*\" } }\n"
	"}\n";

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
	kill(broker, SIGHUP);
	manager_wait_ready();
	while (ends < 2) {
		int ret = vdb_client_next(client, &event);
		struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };

		ck_assert_works(ret);
		if (!ret) {
			poll(&p, 1, -1);
			continue;
		}
		ck_assert(event.lease == page.id || event.lease == other.id);
		ck_assert_int_eq(event.state, VDB_REVOKED);
		ends++;
	}
	vdb_read32(map);
	ck_assert_int_eq(acquire_error(client, "edu/page", 0, 0, 0), ENOENT);
	ck_assert_works(vdb_client_release(client, second.id));
}
END_TEST

START_TEST(bad_reload_changes_nothing)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);

	broker_configure("device \"edu\" { bdf = \"nonsense\" }\n");
	kill(broker, SIGHUP);
	manager_wait_ready();
	ck_assert(broker_logged("/tmp/broker.conf:1: device edu: bdf is \"nonsense\""));
	ck_assert(broker_logged("the configuration stays as it was"));
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_acquire(client, "nvme/registers", 0);
}
END_TEST

START_TEST(impossible_slices_are_refused_at_the_start)
{
	static const struct {
		const char *slice, *message;
	} cases[] = {
		{ "slice \"x\" { length = 0x200000 }", "ends at 0x200000, BAR 0" },
		{ "slice \"x\" { length = 0x1000 bar = 3 }", "cannot be mapped" },
		{ "reset = idle slice \"x\" { length = 0x1000 }", "cannot be reset alone" },
	};
	char text[512];

	broker_stop(broker, SIGTERM);
	manager_forget("");
	snprintf(text, sizeof(text), "device \"edu\" { bdf = \"@EDU@\" %s }\n", cases[_i].slice);
	broker_configure(text);
	broker_start_fails();
	ck_assert(broker_logged(cases[_i].message));
	broker_configure(config);
	broker = broker_start();
}
END_TEST

START_TEST(rights_are_given_up)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/status", broker);
	ck_assert_works(file_read(path, text, sizeof(text)));
	ck_assert_ptr_nonnull(strstr(text, "Uid:\t1000\t1000\t1000\t1000"));
	ck_assert_ptr_nonnull(strstr(text, "CapPrm:\t0000000000000000"));
	ck_assert_ptr_nonnull(strstr(text, "CapBnd:\t0000000000000000"));
	ck_assert_ptr_nonnull(strstr(text, "NoNewPrivs:\t1"));
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker");
	TCase *tc = add_group(s, "lending");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, slice_is_lent);
	tcase_add_loop_test(tc, slice_without_room_for_its_fds, 0, 2);
	tcase_add_test(tc, attributes_are_those_of_the_configuration);
	tcase_add_test(tc, exclusive_is_for_one);
	tcase_add_test(tc, shared_is_for_many);
	tcase_add_test(tc, array_has_one_for_each);
	tcase_add_test(tc, bad_requests_change_nothing);

	tc = add_group(s, "policy");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, users_and_groups);
	add_test_or_skip(tc, cgroups, access("/sys/fs/cgroup", F_OK) ? "the kernel has no cgroups" : NULL);
	add_test_or_skip(tc, long_cgroups, access("/sys/fs/cgroup", F_OK) ? "the kernel has no cgroups" : NULL);
	tcase_add_test(tc, lists_show_what_one_may_know);
	tcase_add_test(tc, many_groups);
	tcase_add_test(tc, limits_hold);
	tcase_add_test(tc, connections_are_kept_for_administrators);
	tcase_add_test(tc, leases_are_kept_for_administrators);
	tcase_add_test(tc, silent_connections_are_closed);
	tcase_add_test(tc, connections_alone_cost_little);
	tcase_add_test(tc, rights_are_given_up);

	tc = add_group(s, "ends");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, time_ends_a_lease);
	tcase_add_test(tc, administrator_ends_a_lease);
	tcase_add_test(tc, closing_ends_leases);
	tcase_add_test(tc, death_ends_leases);

	tc = add_group(s, "device");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, registers_are_written_at_the_end);
	tcase_add_test(tc, device_is_reset_at_the_end);
	tcase_add_test(tc, suspension_is_told);
	tcase_add_test(tc, device_that_cannot_be_put_in_order);
	tcase_add_test(tc, device_goes_back_to_the_kernel);

	tc = add_group(s, "protocol");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, malformed_messages_end_the_connection, 0, 8);
	tcase_add_test(tc, hello_comes_first);
	tcase_add_test(tc, client_in_python);
	tcase_add_test(tc, fds_in_requests_are_not_taken);
	tcase_add_test(tc, slow_reader_holds_up_nobody);
	tcase_add_test(tc, slice_that_cannot_be_sent);

	tc = add_group(s, "configuration");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reload_ends_what_is_no_longer_allowed);
	tcase_add_test(tc, bad_reload_changes_nothing);
	tcase_add_loop_test(tc, impossible_slices_are_refused_at_the_start, 0, 3);
	return s;
}
