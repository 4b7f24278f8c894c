// SPDX-License-Identifier: MIT
/*
 * A new configuration applies to existing leases, or is rejected.  A rejected one does
 * not end a lease.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

static pid_t broker;

#define MEM	"devices: {mem: {function: @IVSHMEM@, reset: never, slices: {\n "
#define END	" }}}\n"
#define B_APART	"b: {bar: 2, offset: 4M, length: @PAGE@, allow: everybody}\n"

/* The settings of slice "a"; slice "b" is always the same. */
static void configure(const char *a)
{
	char text[512];

	snprintf(text, sizeof(text), MEM "a: {bar: 2, allow: everybody, %s},\n " B_APART END, a);
	broker_configure(text);
}

static void start_with(const char *a)
{
	configure(a);
	broker = broker_start();
}

static void reload_with(const char *a)
{
	configure(a);
	broker_reload(broker, true);
}

static void setup(void)
{
	unlink(BROKER_LOG);
	manager_init();
}

static void teardown(void)
{
	broker_stop(broker, SIGTERM);
}

START_TEST(time_is_limited_from_now_on)
{
	struct vdb_client *client;
	struct vdb_lease a, b;

	start_with(_i ? "length: @PAGE@, max_time: 1000s" : "length: @PAGE@");
	client = broker_connect();
	a = broker_acquire(client, "mem/a", 0);
	b = broker_acquire(client, "mem/b", 0);
	reload_with("length: @PAGE@, max_time: 1s");
	broker_expect(client, a.id, VDB_STATE_REVOKED, VDB_END_EXPIRED);
	ck_assert_works(vdb_client_release(client, b.id));
}
END_TEST

/* A lease is not made longer unless its client renews it. */
START_TEST(time_that_is_left_stays)
{
	struct vdb_client *client;
	struct vdb_lease a;

	start_with("length: @PAGE@, max_time: 1s");
	client = broker_connect();
	a = broker_acquire(client, "mem/a", 0);
	reload_with("length: @PAGE@, max_time: 1000s");
	broker_expect(client, a.id, VDB_STATE_REVOKED, VDB_END_EXPIRED);
}
END_TEST

START_TEST(shared_becomes_exclusive)
{
	struct vdb_client *clients[2];
	struct vdb_lease leases[2];

	start_with("length: @PAGE@, sharing: shared");
	for (int i = 0; i < 2; i++) {
		clients[i] = broker_connect();
		leases[i] = broker_acquire(clients[i], "mem/a", 0);
	}
	reload_with("length: @PAGE@, sharing: exclusive");
	for (int i = 0; i < 2; i++)
		broker_expect(clients[i], leases[i].id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	broker_acquire(clients[0], "mem/a", 0);
}
END_TEST

START_TEST(attribute_changes)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	start_with("length: @PAGE@, caching: write-combining");
	client = broker_connect();
	lease = broker_acquire(client, "mem/a", 0);
	reload_with("length: @PAGE@, caching: uncached");
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	lease = broker_acquire(client, "mem/a", 0);
	ck_assert_uint_eq(vdb_slice_flags(lease.slice), 0);
}
END_TEST

START_TEST(impossible_slice_is_refused)
{
	static const char *const impossible[] = {
		"length: @PAGE@, offset: 1G",	/* after the end of the BAR */
		"length: @PMD@, count: 4096",
	};
	struct vdb_client *client;
	struct vdb_lease lease;

	start_with("length: @PAGE@");
	client = broker_connect();
	lease = broker_acquire(client, "mem/a", 0);
	configure(impossible[_i]);
	broker_reload(broker, false);
	ck_assert(broker_logged("mem/a: it ends at"));
	manager_wait_status("The last reload was rejected: mem/a: it ends at");
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_acquire(client, "mem/a", 0);
}
END_TEST

/* ---- on-release actions are those of the time of the grant ---- */

#define A_PAGE	"a: {bar: 2, length: @PAGE@, allow: everybody, " \
		"on_release: [{offset: 0, value: 0x11111111}]},\n "
#define B_PAGE	"b: {bar: 2, length: @PAGE@, offset: @PAGE@, allow: everybody}\n"

static void configure_slices(const char *device, const char *bdf, const char *reset, const char *slices)
{
	char text[1024];

	snprintf(text, sizeof(text), "devices: {%s: {function: %s, reset: %s, slices: {\n %s" END,
		 device, bdf, reset, slices);
	broker_configure(text);
}

/* Loads it with SIGHUP, or with a broker that is killed and restarted. */
static void change_configuration(bool restart)
{
	if (restart) {
		broker_stop(broker, SIGKILL);
		broker = broker_start();
	} else {
		broker_reload(broker, true);
	}
}

START_TEST(registers_of_a_slice_that_changes)
{
	static const char *const changes[] = {
		/* moved, with other registers */
		"a: {bar: 2, length: @PAGE@, offset: @PAGE@, allow: everybody,\n"
		"  on_release: [{offset: 0x10, value: 0x22222222}]},\n"
		" b: {bar: 2, length: @PAGE@, allow: everybody}\n",
		/* larger, with registers in the new part */
		"a: {bar: 2, length: @2PAGE@, allow: everybody,\n"
		"  on_release: [{offset: 0x1010, value: 0x22222222}]}\n",
		/* renamed */
		"c: {bar: 2, length: @2PAGE@, allow: everybody}\n",
	};
	static const char *const names[] = { "mem/b", "mem/a", "mem/c" };
	struct vdb_client *client, *other;
	struct vdb_lease a, b;
	char *map, *other_map;

	configure_slices("mem", "@IVSHMEM@", "never", A_PAGE B_PAGE);
	broker = broker_start();
	client = broker_connect();
	other = broker_connect();
	a = broker_acquire(client, "mem/a", 0);
	b = broker_acquire(other, "mem/b", 0);
	map = vdb_slice_map(a.slice, 0, 0, PROT_READ | PROT_WRITE);
	other_map = vdb_slice_map(b.slice, 0, 0, PROT_READ | PROT_WRITE);
	for (int at = 0; at < 0x20; at += 4) {
		vdb_write32(map + at, 0);
		vdb_write32(other_map + at, 0);
	}

	configure_slices("mem", "@IVSHMEM@", "never", changes[_i / 2]);
	change_configuration(_i % 2);
	broker_expect(client, a.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	broker_expect(other, b.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	a = broker_acquire(client, names[_i / 2], 0);
	map = vdb_slice_map(a.slice, 0, 0, PROT_READ | PROT_WRITE);
	ck_assert_uint_eq(vdb_read32(map), 0x11111111);
	ck_assert_uint_eq(vdb_read32(map + 0x10), 0);
	/* The registers of the other one are not written either. */
	if (_i >= 2)
		ck_assert_uint_eq(vdb_read32(map + 0x1010), 0);
}
END_TEST

START_TEST(reset_of_a_slice_that_is_removed)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	configure_slices("nvme", "@NVME@", "always", "a: {length: @PAGE@, allow: everybody}");
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "nvme/a", 0);
	map = vdb_slice_map(lease.slice, 0, 0, PROT_READ | PROT_WRITE);
	vdb_write32(map + 0x14, 0x00460000);
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0x00460000);

	configure_slices("nvme", "@NVME@", "never", "b: {length: @PAGE@, allow: everybody}");
	change_configuration(_i);
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	lease = broker_acquire(client, "nvme/b", 0);
	map = vdb_slice_map(lease.slice, 0, 0, PROT_READ);
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0);
}
END_TEST

/* A device that gets another name is the same device. */
START_TEST(device_is_renamed)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	configure_slices("mem", "@IVSHMEM@", "never", A_PAGE B_PAGE);
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "mem/b", 0);
	configure_slices("other", "@IVSHMEM@", "never", A_PAGE B_PAGE);
	change_configuration(_i);
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	broker_acquire(client, "other/b", 0);
	ck_assert_int_eq(broker_acquire_error(client, "mem/b", 0, 0, 0), ENOENT);
}
END_TEST

/* A device that is added is opened, and a device that is removed is closed. */
START_TEST(devices_come_and_go)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	configure_slices("mem", "@IVSHMEM@", "never", B_PAGE);
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "mem/b", 0);
	configure_slices("nvme", "@NVME@", "never", "a: {length: @PAGE@, allow: everybody}");
	change_configuration(_i);
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	broker_acquire(client, "nvme/a", 0);
	/* No process has the other one open: neither the broker nor the manager. */
	manager_wait_count(broker_name_of_device("IVSHMEM"), 0);
	manager_wait_count("device-", 1);
}
END_TEST

/* ---- mistakes do not end a lease ---- */

static struct vdb_status status_of(struct vdb_client *client)
{
	struct vdb_status status;

	ck_assert_works(vdb_client_status(client, &status));
	return status;
}

START_TEST(rejected_reload_says_so)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	start_with("length: @PAGE@");
	client = broker_connect();
	lease = broker_acquire(client, "mem/a", 0);
	manager_wait_status("1 of 1 devices are open");
	ck_assert_str_eq(status_of(client).problem, "");

	configure("length: 3K");
	broker_reload(broker, false);
	ck_assert(broker_logged("/tmp/broker.yaml:2:"));
	manager_wait_status("The last reload was rejected: /tmp/broker.yaml:2:");
	ck_assert_ptr_nonnull(strstr(status_of(client).problem, "/tmp/broker.yaml:2:"));
	ck_assert(status_of(client).grants);
	/* The former configuration is still in force. */
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);
	broker_acquire(client, "mem/b", 0);
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_acquire(client, "mem/a", 0);

	reload_with("length: @PAGE@");
	manager_wait_status("1 of 1 devices are open");
	ck_assert_str_eq(status_of(client).problem, "");
}
END_TEST

/* A restart or an upgrade, with a mistake in the configuration. */
START_TEST(broken_start_serves_what_there_is)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	struct vdb_client *client;
	struct vdb_lease a, b;
	char *map;

	configure_slices("mem", "@IVSHMEM@", "never", A_PAGE B_PAGE);
	broker = broker_start();
	client = broker_connect();
	a = broker_acquire(client, "mem/a", 0);
	b = broker_acquire(client, "mem/b", 0);
	map = vdb_slice_map(b.slice, 0, 0, PROT_READ | PROT_WRITE);

	broker_configure("devices: [nonsense\n");
	for (int i = 0; i < 2; i++) {
		broker_stop(broker, numbers[_i]);
		broker = broker_start();
		manager_wait_status("Nothing new is granted: /tmp/broker.yaml:");
		ck_assert(!status_of(client).grants);
		ck_assert_ptr_nonnull(strstr(status_of(client).problem, "/tmp/broker.yaml:"));
		ck_assert_int_eq(broker_acquire_error(broker_connect(), "mem/b", 0, 0, 0), EIO);
	}
	/* Leases end as before, and their registers are written. */
	vdb_write32(map, 1);
	ck_assert_int_eq(vdb_slice_state(b.slice, NULL), VDB_STATE_LIVE);
	map = vdb_slice_map(a.slice, 0, 0, PROT_READ | PROT_WRITE);
	vdb_write32(map, 2);
	ck_assert_works(vdb_client_release(client, a.id));
	ck_assert_int_eq(broker_acquire_error(client, "mem/a", 0, 0, 0), EIO);

	configure_slices("mem", "@IVSHMEM@", "never", A_PAGE B_PAGE);
	broker_reload(broker, true);
	manager_wait_status("1 of 1 devices are open");
	a = broker_acquire(client, "mem/a", 0);
	map = vdb_slice_map(a.slice, 0, 0, PROT_READ | PROT_WRITE);
	ck_assert_uint_eq(vdb_read32(map), 0x11111111);
	ck_assert_works(vdb_client_release(client, b.id));
}
END_TEST

/* No configuration has ever been accepted, or the device is new in it. */
START_TEST(broken_first_start_waits_for_a_reload)
{
	struct vdb_client *client;

	if (_i)
		broker_configure("devices: [nonsense\n");
	else
		unlink("/tmp/broker.yaml");
	broker = broker_start();
	client = broker_connect();
	ck_assert_int_eq(broker_acquire_error(client, "mem/a", 0, 0, 0), EIO);
	broker_reload(broker, false);
	ck_assert(!status_of(client).grants);
	reload_with("length: @PAGE@");
	broker_acquire(client, "mem/a", 0);
}
END_TEST

/* The broker's user cannot read every file. */
static void forbid_reading_all(void)
{
	ck_assert_works(prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE));
	ck_assert_works(prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH));
}

static void make_conf_d(mode_t mode)
{
	mkdir(BROKER_CONF_D, 0755);
	ck_assert_works(chown(BROKER_CONF_D, 1000, 1000));
	ck_assert_works(chmod(BROKER_CONF_D, mode));
}

static void setup_conf_d(void)
{
	FILE *file;

	setup();
	make_conf_d(0755);
	file = fopen(BROKER_CONF_D "/slice.yaml", "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "devices: {mem: {function: %s, slices: {b: {bar: 2, offset: 4M, length: %lu, allow: everybody}\n" END,
		lab_bdf("IVSHMEM"), PAGE);
	ck_assert_int_eq(fclose(file), 0);
}

/* Runs also after a test that failed. */
static void remove_conf_d(void)
{
	unlink(BROKER_CONF_D "/slice.yaml");
	rmdir(BROKER_CONF_D);
}

/* A directory or file that the broker cannot read does not count as empty. */
START_TEST(conf_d_that_cannot_be_read)
{
	bool restart = _i % 2, file = _i / 2;
	struct vdb_client *client;
	struct vdb_lease lease;

	broker_configure(MEM "a: {bar: 2, length: @PAGE@, allow: everybody}\n" END);
	forbid_reading_all();
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "mem/b", 0);

	if (file)
		ck_assert_works(chmod(BROKER_CONF_D "/slice.yaml", 0));
	else
		make_conf_d(0700);
	if (restart) {
		broker_stop(broker, SIGTERM);
		broker = broker_start();
		manager_wait_status("Nothing new is granted: " BROKER_CONF_D);
		ck_assert_int_eq(broker_acquire_error(client, "mem/a", 0, 0, 0), EIO);
	} else {
		broker_reload(broker, false);
		manager_wait_status("The last reload was rejected: " BROKER_CONF_D);
		ck_assert_works(vdb_client_release(client, broker_acquire(client, "mem/a", 0).id));
	}
	ck_assert_ptr_nonnull(strstr(status_of(client).problem, "ermission denied"));
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);

	make_conf_d(0755);
	ck_assert_works(chmod(BROKER_CONF_D "/slice.yaml", 0644));
	broker_reload(broker, true);
	broker_acquire(client, "mem/a", 0);
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_acquire(client, "mem/b", 0);
}
END_TEST

/*
 * A name service that hangs: we have a file lease (fcntl) of the file with the groups, so
 * that a process that opens it waits for us.
 */
#define GROUPS	"/etc/group"
#define BREAK_TIME	"/proc/sys/fs/lease-break-time"

static int groups = -1;

static void set_break_time(const char *seconds)
{
	int fd = open(BREAK_TIME, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(write(fd, seconds, strlen(seconds)), strlen(seconds));
	close(fd);
}

static void setup_groups(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	/* Before threads are started, which inherit it. */
	ck_assert_works(sigprocmask(SIG_BLOCK, &set, NULL));
	setup();
	groups = open(GROUPS, O_RDWR | O_CLOEXEC);
	ck_assert_works(groups);
	set_break_time("600");
}

static void configure_groups(void)
{
	broker_configure(MEM "a: {bar: 2, length: @PAGE@, allow: {groups: [root]}},\n " B_APART END);
}

static void hang_groups(void)
{
	ck_assert_works(fcntl(groups, F_SETLEASE, F_WRLCK));
	configure_groups();
}

/* Returns when a process looks a group up. */
static void wait_for_lookup(void)
{
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	ck_assert_int_eq(sigwait(&set, &number), 0);
}

static void let_groups_go(void)
{
	ck_assert_works(fcntl(groups, F_SETLEASE, F_UNLCK));
}

static pid_t reload_by_client(void)
{
	pid_t pid = fork();

	ck_assert_works(pid);
	if (pid)
		return pid;
	_exit(vdb_client_reload(broker_connect()) ? 1 : 0);
}

START_TEST(name_service_that_hangs_stops_nobody)
{
	struct vdb_client *client;
	int status;
	pid_t other;

	start_with("length: @PAGE@");
	client = broker_connect();
	hang_groups();
	broker_forget_log();
	kill(broker, SIGHUP);
	wait_for_lookup();
	ck_assert_works(vdb_client_release(client, broker_acquire(client, "mem/a", 0).id));
	/* The answer is about a configuration that is read after the request. */
	configure("length: 3K");
	other = reload_by_client();
	for (int i = 0; i < 10; i++)
		ck_assert_works(vdb_client_release(client, broker_acquire(client, "mem/b", 0).id));
	ck_assert_int_eq(waitpid(other, &status, 0), other);
	ck_assert_int_eq(status, 1 << 8);
	ck_assert(broker_logged("the configuration was not read within 5 seconds"));
	ck_assert(broker_logged("/tmp/broker.yaml:2:"));

	/* What the name service says now is too late. */
	let_groups_go();
	configure_groups();
	broker_reload(broker, true);
	/* Only root's group may lease that slice, and we are in it. */
	broker_acquire(client, "mem/a", 0);
}
END_TEST

START_TEST(name_service_that_hangs_at_a_start)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	start_with("length: @PAGE@");
	client = broker_connect();
	lease = broker_acquire(client, "mem/b", 0);
	broker_stop(broker, SIGTERM);
	hang_groups();
	broker = broker_start();
	wait_for_lookup();
	manager_wait_status("Nothing new is granted: the configuration is still being read");
	ck_assert_int_eq(broker_acquire_error(client, "mem/a", 0, 0, 0), EIO);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);

	let_groups_go();
	broker_wait_log("the configuration is in force");
	manager_wait_status("1 of 1 devices are open");
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);
	ck_assert_works(vdb_client_release(client, broker_acquire(client, "mem/a", 0).id));
	ck_assert_works(vdb_client_release(client, lease.id));
}
END_TEST

/* The broker serves clients while it reads. */
START_TEST(end_while_a_name_service_hangs)
{
	start_with("length: @PAGE@");
	hang_groups();
	kill(broker, SIGHUP);
	wait_for_lookup();
	broker_stop(broker, SIGTERM);
	let_groups_go();
	start_with("length: @PAGE@");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("reload");
	TCase *tc = add_group(s, "reload");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, time_is_limited_from_now_on, 0, 2);
	tcase_add_test(tc, time_that_is_left_stays);
	tcase_add_test(tc, shared_becomes_exclusive);
	tcase_add_test(tc, attribute_changes);
	tcase_add_loop_test(tc, impossible_slice_is_refused, 0, 2);

	tc = add_group(s, "hooks");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, registers_of_a_slice_that_changes, 0, 6);
	tcase_add_loop_test(tc, reset_of_a_slice_that_is_removed, 0, 2);

	tc = add_group(s, "devices");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, device_is_renamed, 0, 2);
	tcase_add_loop_test(tc, devices_come_and_go, 0, 2);

	tc = add_group(s, "mistakes");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rejected_reload_says_so);
	tcase_add_loop_test(tc, broken_start_serves_what_there_is, 0, 2);
	tcase_add_loop_test(tc, broken_first_start_waits_for_a_reload, 0, 2);

	tc = add_group(s, "name services");
	tcase_add_checked_fixture(tc, setup_groups, teardown);
	tcase_add_test(tc, name_service_that_hangs_stops_nobody);
	tcase_add_test(tc, name_service_that_hangs_at_a_start);
	tcase_add_test(tc, end_while_a_name_service_hangs);

	tc = add_group(s, "conf.d");
	tcase_add_unchecked_fixture(tc, NULL, remove_conf_d);
	tcase_add_checked_fixture(tc, setup_conf_d, teardown);
	tcase_add_loop_test(tc, conf_d_that_cannot_be_read, 0, 4);
	return s;
}
