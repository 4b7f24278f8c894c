// SPDX-License-Identifier: MIT
/*
 * Attacks on the running broker.  During each of them a client of another user
 * continues to use its leases.  The broker does not run as root, because root has no
 * limit of fds in flight.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "cgroup.h"
#include "common/fds.h"
#include "honest.h"
#include "importer.h"
#include "kernel.h"
#include "listing.h"
#include "manager.h"
#include "prompt.h"
#include "suite.h"
#include "sysfs.h"

#define BROKER_USER	1000
#define HONEST		3001
#define ATTACKER	3000
#define LATECOMER	3002
#define SUBUID		"/etc/subuid"

#define DEVICES								\
	"devices:\n"							\
	"  edu:\n"							\
	"    function: @EDU@\n"						\
	"    reset: never\n"						\
	"    slices:\n"							\
	"      honest: {length: @PAGE@, allow: {users: [3001]}}\n"		\
	"      array: {length: @PAGE@, offset: @16PAGE@, count: 128, allow: everybody}\n" \
	"      queue: {length: @PAGE@, offset: @8PAGE@, count: 4, memory: 1M, allow: everybody}\n" \
	"  nvme:\n"							\
	"    function: @NVME@\n"					\
	"    reset: never\n"						\
	"    patience: 5s\n"						\
	"    slices:\n"							\
	"      page: {length: @PAGE@, allow: everybody}\n"			\
	"  mem:\n"							\
	"    function: @IVSHMEM@\n"					\
	"    reset: never\n"						\
	"    slices:\n"							\
	"      array: {bar: 2, length: @PAGE@, count: 4000, allow: everybody}\n"

/* No limit of requests, so that this limit does not end the attack. */
#define RATE	"request_rate: 1000000, request_burst: 1000000"

static const char usual[] = "limits: {" RATE "}\n" DEVICES;
static const char narrow[] =
	"limits: {connections: 12, connections_per_user: 6, hello_time: 1h, " RATE "}\n"
	"kept: {root: {connections: 2, leases: 4}}\n" DEVICES;
static const char wide[] =
	"limits: {connections: 2000, connections_per_user: 2000, leases: 5000,\n"
	"  leases_per_user: 5000, " RATE "}\n" DEVICES;

static pid_t broker;
static const char *no_cgroups;
static struct cgroup group;
static struct honest *honest;

static void set_nr_fds(pid_t pid, unsigned int nr)
{
	const struct rlimit limit = { nr, nr };

	ck_assert_works(prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
}

static void open_devices_to_all(void)
{
	ck_assert_int_eq(run_program("/usr/bin/sh", "-c",
				     "for node in /dev/vfio/[0-9]* /dev/vfio/devices/* /dev/iommu; do"
				     "  [ ! -e $node ] || chmod 666 $node; done", NULL), 0);
}

/* The memory of messages and state from now on is charged to the group. */
static void begin(const char *config, unsigned int nr_fds)
{
	struct vdb_client *client;

	unlink(BROKER_LOG);
	manager_init();
	open_devices_to_all();
	broker_configure(config);
	if (!no_cgroups)
		group = cgroup_new("broker");
	/* The limit of a program that is started; this process can restore its own. */
	ck_assert_works(setresgid(BROKER_USER, BROKER_USER, 0));
	ck_assert_works(setresuid(BROKER_USER, BROKER_USER, 0));
	broker = broker_start();
	ck_assert_works(setresuid(0, 0, 0));
	ck_assert_works(setresgid(0, 0, 0));
	/* Attackers have no limit. */
	set_nr_fds(0, 4096);
	set_nr_fds(broker, nr_fds);
	if (!no_cgroups)
		cgroup_enter(&group, broker);
	client = broker_connect();
	broker_wait_open(client);
	vdb_client_close(client);
	honest = honest_start(HONEST, "edu/honest");
}

static void end(void)
{
	honest_wait(honest, 5);
	honest_end(honest);
	broker_stop(broker, SIGTERM);
	if (!no_cgroups)
		cgroup_end(&group);
}

/* 0 on kernels that do not account for it. */
static long memory(void)
{
	char path[128], text[32];

	if (no_cgroups)
		return 0;
	snprintf(path, sizeof(path), "%s/memory.current", group.path);
	ck_assert_works(file_read(path, text, sizeof(text)));
	return strtol(text, NULL, 10);
}

static unsigned int count_fds(void)
{
	char command[64];
	unsigned int nr;
	FILE *ls;

	snprintf(command, sizeof(command), "ls /proc/%d/fd | wc -l", broker);
	ls = popen(command, "r");
	ck_assert_int_eq(fscanf(ls, "%u", &nr), 1);
	pclose(ls);
	return nr;
}

/*
 * The full numbers with LAB_BOOT="--append siege=full --seconds 3000"; smaller ones by
 * default, because emulated machines are slow.
 */
static bool in_full(void)
{
	return kernel_started_with("siege=full");
}

/* ---- attackers ---- */

/* The result of all processes of an attack. */
struct report {
	unsigned int served, refused, granted;
};

/*
 * A child of another user, which reports and then keeps its connections and leases
 * until it is killed.
 */
static pid_t attack(uid_t uid, void (*fn)(struct report *), struct report *report)
{
	int pipes[2];
	pid_t pid;

	ck_assert_works(pipe(pipes));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(0, NULL) || setgid(uid) || setuid(uid))
			_exit(99);
		fn(report);
		if (write(pipes[1], report, sizeof(*report)) != sizeof(*report))
			_exit(98);
		pause();
	}
	close(pipes[1]);
	ck_assert_int_eq(read(pipes[0], report, sizeof(*report)), sizeof(*report));
	close(pipes[0]);
	return pid;
}

static void end_attack(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* A connection that was answered, or -1 if it was refused. */
static int try_connect(struct report *report)
{
	const struct vdp_hello hello = {
		.header = { .type = VDP_HELLO, .serial = 1 },
		.min_version = VDP_VERSION, .max_version = VDP_VERSION, .name = "attacker",
	};
	char answer[VDP_MAX_MESSAGE];
	int fd = raw_connect();

	if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello) &&
	    recv(fd, answer, sizeof(answer), 0) > 0) {
		report->served++;
		return fd;
	}
	report->refused++;
	close(fd);
	return -1;
}

static void wait_for_answer(int fd)
{
	poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, BROKER_MS);
}

static void live_as_other(void)
{
	broker_acquire(broker_connect(), "edu/array", 0);
}

/* ---- unread answers ---- */

/* How the attacker leaves a connection, whose socket it keeps. */
enum leaving { BY_SHUTDOWN, BY_NONSENSE, WATCHING, NR_LEAVINGS };

static enum leaving leaving;

static void leave_answers(struct report *report)
{
	struct vdp_plain list = { .header = { .type = leaving == WATCHING ? VDP_WATCH : VDP_LIST_SLICES } };
	int attempts = in_full() ? 5000 : 800;

	for (int i = 0; i < attempts; i++) {
		int fd = try_connect(report);

		if (fd < 0)
			continue;
		for (int serial = 2; serial < 12; serial++) {
			list.header.serial = serial;
			send(fd, &list, sizeof(list), MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		wait_for_answer(fd);
		if (leaving == BY_NONSENSE)
			send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			shutdown(fd, leaving == WATCHING ? SHUT_WR : SHUT_RDWR);
	}
}

/* The kernel charges them to the broker, as long as the client has its end open. */
START_TEST(unread_answers_are_limited)
{
	struct report report = { 0 };
	long before, grown;
	pid_t pid;

	leaving = _i;
	begin(usual, 1024);
	before = memory();
	pid = attack(ATTACKER, leave_answers, &report);
	honest_wait(honest, 5);
	grown = memory() - before;
	ck_assert_msg(grown < 1 << 20, "%u connections left %ld kB", report.served, grown >> 10);
	/* As many as the limit allows. */
	ck_assert_uint_ge(report.served, 16);
	ck_assert_uint_ge(report.refused, 400);
	end_attack(pid);
	/* Everything that it had is free. */
	broker_as_user(ATTACKER, ATTACKER, live_as_other);
	end();
}
END_TEST

/* ---- slices that are not received ---- */

/* Two fds for each lease, or three: with memory. */
static const char *const unread[] = { "edu/array", "edu/queue" };
static const char *unread_slice;

static void leave_slices(struct report *report)
{
	for (int i = 0; i < 300; i++) {
		struct vdp_acquire acquire = {
			.header = { .type = VDP_ACQUIRE, .serial = 2 },
			.index = VDP_ANY_INDEX,
		};
		int fd = try_connect(report);

		if (fd < 0)
			continue;
		strcpy(acquire.name, unread_slice);
		for (; acquire.header.serial < 6; acquire.header.serial++)
			send(fd, &acquire, sizeof(acquire), MSG_DONTWAIT | MSG_NOSIGNAL);
		wait_for_answer(fd);
		shutdown(fd, SHUT_RDWR);
	}
}

/* Fds in flight count against the limit of the broker's user, which is low. */
START_TEST(unread_slices_are_limited)
{
	struct report report = { 0 };
	pid_t pid;

	unread_slice = unread[_i];
	begin(usual, 128);
	pid = attack(ATTACKER, leave_slices, &report);
	/* None of its requests is refused, neither during the attack nor now. */
	honest_wait(honest, 20);
	ck_assert_uint_ge(report.served, 10);
	end_attack(pid);
	end();
}
END_TEST

/* ---- memory that clients keep ---- */

#define MIB		(1L << 20)
#define KEPT		24	/* leases, one after another */

static void keep_memory(struct report *report)
{
	struct vdb_client *client = broker_connect();

	for (int i = 0; i < KEPT; i++) {
		struct vdb_lease lease = broker_acquire(client, "edu/queue", VDB_ANY_INDEX);

		/* Its memfd stays open. */
		ck_assert_works(vdb_client_release(client, lease.id));
		vdb_slice_free(lease.slice);
		report->granted++;
	}
}

/* The limits count only the leases that there are. */
START_TEST(memory_that_clients_keep_is_theirs)
{
	struct report first = { 0 }, report = { 0 };
	long before, grown;
	pid_t pid;

	begin(usual, 1024);
	end_attack(attack(ATTACKER, keep_memory, &first));
	before = memory();
	pid = attack(ATTACKER, keep_memory, &report);
	ck_assert_uint_eq(report.granted, KEPT);
	manager_wait_count("memory-", 0);
	grown = memory() - before;
	ck_assert_msg(grown < 3 * MIB, "%u leases left %ld kB", report.granted, grown >> 10);
	honest_wait(honest, 5);
	end_attack(pid);
	end();
}
END_TEST

/* ---- a device that hangs ---- */

static bool find_nvme(const struct vdb_device_info *info, void *data)
{
	if (!strcmp(info->bdf, lab_bdf("NVME")))
		*(enum vdb_device_phase *)data = info->phase;
	return true;
}

static enum vdb_device_phase phase_of_nvme(struct vdb_client *admin)
{
	enum vdb_device_phase phase = 99;

	ck_assert_works(vdb_client_devices(admin, find_nvme, &phase));
	return phase;
}

static void wait_phase(struct vdb_client *admin, enum vdb_device_phase phase)
{
	double begin = now();

	while (phase_of_nvme(admin) != phase) {
		ck_assert_msg(now() - begin < 10 * bound(), "the device is in phase %d, not %d",
			      phase_of_nvme(admin), phase);
		usleep(100000);
	}
}

START_TEST(device_that_hangs_holds_up_nobody)
{
	const struct device nvme = { .bdf = lab_bdf("NVME") };
	struct vdb_client *client, *admin;
	double alone, beside;
	struct vdb_lease lease;
	int importer;

	begin(usual, 1024);
	client = broker_connect();
	admin = broker_connect();
	lease = broker_acquire(client, "nvme/page", 0);
	alone = honest_measure(honest, 40);
	importer = importer_open();
	ck_assert_works(importer_try_attach(importer, vdb_slice_fd(lease.slice), &nvme, IMPORTER_LAZY));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	/* Its slice cannot be revoked as long as the importer has it. */
	vdb_client_close(client);
	importer_wait_notified(importer, 1);
	beside = honest_measure(honest, 40);
	/* Other guests on the host can take the processor for longer than that. */
	for (int i = 0; i < 10 && beside >= 2 * alone; i++)
		beside = honest_measure(honest, 40);
	ck_assert_msg(beside < 2 * alone, "a round takes %.1f ms, not %.1f ms",
		      beside * 1000, alone * 1000);
	/* The device's patience is over. */
	wait_phase(admin, VDB_DEVICE_CLOSING);
	ck_assert_int_eq(broker_acquire_error(admin, "nvme/page", 0, 0, 0), ENODEV);
	honest_wait(honest, 10);
	/* Afterwards the slice can be granted again. */
	ck_assert_works(importer_unmap(importer));
	wait_phase(admin, VDB_DEVICE_OPEN);
	broker_acquire(admin, "nvme/page", 0);
	end();
}
END_TEST

/* ---- connections ---- */

/* A connection that stays, of each of many subordinate users. */
static void connect_as_subordinates(struct report *report)
{
	for (uid_t uid = 200000; uid < 200020; uid++) {
		/* The file system's ids as well, so that this process can restore its own. */
		if (setresuid(uid, uid, 0))
			_exit(97);
		try_connect(report);
		if (setresuid(0, 0, 0))
			_exit(96);
	}
}

static void write_subuid(void)
{
	ck_assert_int_eq(run_program("/usr/bin/sh", "-c", "echo 3000:200000:65536 >" SUBUID, NULL), 0);
}

static void remove_subuid(void)
{
	unlink(SUBUID);
}

START_TEST(subordinate_users_are_one)
{
	struct report report = { 0 };
	pid_t pid;

	begin(narrow, 1024);
	pid = attack(0, connect_as_subordinates, &report);
	ck_assert_uint_eq(report.served, 6);
	ck_assert_uint_eq(report.refused, 14);
	honest_wait(honest, 5);
	end_attack(pid);
	end();
}
END_TEST

static void fill(struct report *report)
{
	for (int i = 0; i < 20; i++)
		try_connect(report);
}

/* Ten places are not kept: two users have nine of them, and the honest client one. */
START_TEST(idle_connections_are_evicted)
{
	struct report first = { 0 }, second = { 0 };
	struct vdb_client *admin;
	struct vdb_status status;
	pid_t pids[2];

	begin(narrow, 1024);
	pids[0] = attack(ATTACKER, fill, &first);
	pids[1] = attack(ATTACKER + 7, fill, &second);
	ck_assert_uint_eq(first.served, 6);
	ck_assert_uint_ge(second.served, 3);
	admin = broker_connect();
	ck_assert_works(vdb_client_status(admin, &status));
	ck_assert_uint_eq(status.clients.pool_used, status.clients.pool);
	/* Each of them needs the place of another user. */
	for (int i = 0; i < 3; i++)
		broker_as_user(LATECOMER + i, LATECOMER, live_as_other);
	honest_wait(honest, 5);
	end_attack(pids[0]);
	end_attack(pids[1]);
	end();
}
END_TEST

#define LOOPS	4	/* processes */

/* They end with the attacker. */
static void in_loops(void (*work)(void))
{
	for (int i = 0; i < LOOPS; i++) {
		pid_t pid = fork();

		ck_assert_works(pid);
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			work();
	}
}

static void connect_once(void)
{
	struct report report = { 0 };
	int fd = try_connect(&report);

	if (fd >= 0)
		close(fd);
}

static void connect_in_loops(struct report *report)
{
	(void)report;
	in_loops(connect_once);
}

static void connect_and_close(void)
{
	close(raw_connect());
}

static void connect_silently_in_loops(struct report *report)
{
	(void)report;
	in_loops(connect_and_close);
}

static void compute(void)
{
}

static void compute_in_loops(struct report *report)
{
	(void)report;
	in_loops(compute);
}

/*
 * Connecting has no limit for each user.  It must not take more from others than what each
 * process can take: the processor.
 */
START_TEST(connecting_over_and_over_holds_up_nobody)
{
	static void (*const attacks[])(struct report *) = { connect_in_loops, connect_silently_in_loops };
	double fair, beside, connected;
	struct report report = { 0 };
	pid_t pid;

	begin(usual, 1024);
	pid = attack(ATTACKER, compute_in_loops, &report);
	fair = honest_measure(honest, 100);
	end_attack(pid);
	pid = attack(ATTACKER, attacks[_i], &report);
	beside = honest_measure(honest, 100);
	for (int i = 0; i < 5 && beside >= 2 * fair; i++)
		beside = honest_measure(honest, 100);
	/* Others can connect meanwhile. */
	connected = now();
	for (int i = 0; i < 10; i++)
		vdb_client_close(broker_connect());
	connected = (now() - connected) / 10;
	end_attack(pid);
	ck_assert_msg(beside < 2 * fair, "a round takes %.1f ms, not %.1f ms", beside * 1000,
		      fair * 1000);
	/* They wait for each other. */
	ck_assert_double_lt(connected, 5 * bound());
	end();
}
END_TEST

/* ---- fds and lines ---- */

static void connect_often(struct report *report)
{
	for (int i = 0; i < 200; i++)
		try_connect(report);
}

static double processor_time(void)
{
	struct timespec time;
	clockid_t clock;

	ck_assert_int_eq(clock_getcpuclockid(broker, &clock), 0);
	ck_assert_works(clock_gettime(clock, &time));
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* The limit of connections is above the number of the broker's fds. */
START_TEST(connections_do_not_take_all_fds)
{
	struct report report = { 0 };
	double busy, time;
	pid_t pid;

	begin(wide, 128);
	pid = attack(ATTACKER, connect_often, &report);
	ck_assert_uint_ge(report.served, 20);
	ck_assert_uint_ge(report.refused, 100);
	honest_wait(honest, 5);
	/* Without requests the broker must not use the processor. */
	honest_stop(honest);
	busy = processor_time();
	time = now();
	usleep(1000000);
	busy = (processor_time() - busy) / (now() - time);
	honest_continue(honest);
	ck_assert_msg(busy < 0.2, "the broker is busy for %.0f %% of the time", busy * 100);
	end_attack(pid);
	end();
}
END_TEST

static void use_often(struct report *report)
{
	struct vdb_client *client = broker_connect();

	for (int i = 0; i < 100; i++) {
		struct vdb_lease lease = broker_acquire(client, "edu/array", 0);

		ck_assert_works(vdb_client_release(client, lease.id));
		vdb_slice_free(lease.slice);
		report->granted++;
		/* A request that the broker refuses, and logs. */
		broker_acquire_error(client, "edu/honest", 0, 0, 0);
	}
}

START_TEST(log_is_shared_fairly)
{
	struct report report = { 0 };
	pid_t pid;

	begin(usual, 1024);
	pid = attack(ATTACKER, use_often, &report);
	ck_assert_uint_eq(report.granted, 100);
	/* Ten, and ten more each minute. */
	ck_assert_uint_ge(broker_count_lines("uid 3000)"), 5);
	ck_assert_uint_le(broker_count_lines("uid 3000)"), 30);
	broker_as_user(LATECOMER, LATECOMER, live_as_other);
	broker_wait_log("uid 3002)");
	honest_wait(honest, 5);
	end_attack(pid);
	end();
}
END_TEST

/* ---- many ---- */

#define ALLOWED	64

/* Sends fds to itself until the kernel refuses, because the user has too many in flight. */
static unsigned int send_to_itself(void)
{
	unsigned int sent = 0;
	int ends[2];

	set_nr_fds(0, ALLOWED);
	if (setgroups(0, NULL) || setgid(BROKER_USER) || setuid(BROKER_USER) ||
	    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
		_exit(99);
	while (!fds_send(ends[0], "", 1, ends, 1, MSG_DONTWAIT))
		sent++;
	_exit(errno == ETOOMANYREFS ? sent : 98);
}

/* Fds that the broker has sent, and that have not been received. */
static unsigned int count_in_flight(void)
{
	pid_t pid = fork();
	int status;

	ck_assert_works(pid);
	if (!pid)
		send_to_itself();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_le(WEXITSTATUS(status), ALLOWED + 1);
	return ALLOWED + 1 - WEXITSTATUS(status);
}

struct figures {
	long memory;
	unsigned int fds, in_flight;
	size_t buffers;
};

/* Besides the honest client, which can have a lease at that time. */
static struct figures measure(void)
{
	struct vdb_client *admin = broker_connect();
	struct vdb_status status;
	struct figures figures;
	int tries = 0;

	do {
		honest_stop(honest);
		do
			ck_assert_works(vdb_client_status(admin, &status));
		while (status.clients.used > 2 || status.leases.used > 1);
		figures = (struct figures){ memory(), count_fds(), count_in_flight(),
					    listing_read(lab_bdf("EDU"), NULL, 0) };
		honest_continue(honest);
		honest_wait(honest, 1);
		/* It can have been stopped before it received a slice. */
	} while (figures.in_flight == 2 && tries++ < 20);
	vdb_client_close(admin);
	return figures;
}

static void cycle(struct report *report)
{
	unsigned int clients = 50, cycles = in_full() ? 10000 : 250;
	struct vdb_client *client[50];

	for (unsigned int i = 0; i < clients; i++)
		client[i] = broker_connect();
	for (unsigned int i = 0; i < cycles; i++) {
		struct vdb_client *c = client[i % clients];
		struct vdb_lease lease;

		ck_assert_works(vdb_client_acquire(c, "edu/array", i % 128, 0, 0, BROKER_MS, &lease));
		ck_assert_works(vdb_client_release(c, lease.id));
		vdb_slice_free(lease.slice);
		report->granted++;
	}
}

START_TEST(nothing_grows)
{
	struct report report = { 0 };
	struct figures before, after;

	begin(wide, 512);
	end_attack(attack(ATTACKER, cycle, &report));
	before = measure();
	end_attack(attack(ATTACKER, cycle, &report));
	after = measure();
	ck_assert_uint_le(after.fds, before.fds + 2);
	ck_assert_uint_eq(before.in_flight, 0);
	ck_assert_uint_eq(after.in_flight, 0);
	ck_assert_uint_le(after.buffers, before.buffers + 1);
	ck_assert_msg(after.memory < before.memory + (1 << 19), "%ld kB became %ld kB",
		      before.memory >> 10, after.memory >> 10);
	end();
}
END_TEST

static void hold(struct report *report)
{
	unsigned int clients = in_full() ? 1000 : 50;

	for (unsigned int i = 0; i < clients; i++) {
		struct vdb_client *client = broker_connect();
		struct vdb_lease lease;

		report->served++;
		for (int j = 0; j < 4; j++) {
			ck_assert_msg(!vdb_client_acquire(client, "mem/array", 4 * i + j, 0, 0, 0, &lease),
				      "client %u, lease %d: %s", i, j, vdb_client_error(client));
			/* The mapping is the client's; its fds are not needed. */
			vdb_slice_free(lease.slice);
			report->granted++;
		}
	}
}

START_TEST(many_clients_and_leases)
{
	struct report report = { 0 };
	pid_t pid;

	begin(wide, 4096);
	pid = attack(ATTACKER, hold, &report);
	ck_assert_uint_eq(report.granted, 4 * report.served);
	honest_wait(honest, 20);
	end_attack(pid);
	end();
}
END_TEST

Suite *suite(void)
{
	const char *no_importers = importers_missing();
	Suite *s = suite_create("siege");
	TCase *tc = add_group(s, "unread");

	no_cgroups = cgroups_missing();
	if (in_full())
		tcase_set_timeout(tc, 1500);
	if (no_cgroups)
		add_test_or_skip(tc, unread_answers_are_limited, no_cgroups);
	else
		tcase_add_loop_test(tc, unread_answers_are_limited, 0, NR_LEAVINGS);
	tcase_add_loop_test(tc, unread_slices_are_limited, 0, 2);

	tc = add_group(s, "memory");
	add_test_or_skip(tc, memory_that_clients_keep_is_theirs, no_cgroups);

	tc = add_group(s, "device");
	if (!no_importers)
		tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	add_test_or_skip(tc, device_that_hangs_holds_up_nobody, no_importers);

	tc = add_group(s, "connections");
	tcase_add_checked_fixture(tc, write_subuid, remove_subuid);
	tcase_add_test(tc, subordinate_users_are_one);
	tcase_add_test(tc, idle_connections_are_evicted);
	tcase_add_loop_test(tc, connecting_over_and_over_holds_up_nobody, 0, 2);

	tc = add_group(s, "exhaustion");
	tcase_add_test(tc, connections_do_not_take_all_fds);
	tcase_add_test(tc, log_is_shared_fairly);

	tc = add_group(s, "many");
	if (in_full())
		tcase_set_timeout(tc, 1500);
	tcase_add_test(tc, nothing_grows);
	tcase_add_test(tc, many_clients_and_leases);
	return s;
}
