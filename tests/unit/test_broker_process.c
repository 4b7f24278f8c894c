// SPDX-License-Identifier: MIT
/*
 * The broker as a process, without devices: its messages to the service manager, and
 * its start with files, sockets and stored fds of a former process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vfio-dmabuf.h>
#include <vfio-dmabuf-protocol.h>

#include "common/fds.h"
#include "suite.h"

#define WAIT_MS		30000
#define NOWHERE		"ffff:1e:1f.7"

static char dir[] = "/tmp/broker-XXXXXX";
static char path[4][64];	/* of what follows */
enum { CONFIG, SOCKET, LOG, NOTIFY };
static int notify = -1;
static pid_t broker;

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void configure(const char *text)
{
	FILE *file = fopen(path[CONFIG], "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void setup(void)
{
	static const char *const names[] = { "config", "socket", "log", "notify" };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (int i = 0; i < 4; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%s", dir, names[i]);
	strcpy(address.sun_path, path[NOTIFY]);
	notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(notify, (void *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", path[NOTIFY], 1);
	configure("{}\n");
}

static void start(void)
{
	char *const argv[] = { "vfio-dmabufd", "-c", path[CONFIG], "-d", "/nowhere",
			       "-s", path[SOCKET], NULL };

	broker = fork();
	if (broker)
		return;
	if (!freopen(path[LOG], "a", stderr))
		_exit(99);
	execv(BROKER, argv);
	_exit(98);
}

/* Waits until the broker has sent this to the manager. */
static void wait_said(const char *part)
{
	char text[1024] = "";

	while (!strstr(text, part)) {
		struct pollfd p = { notify, POLLIN, 0 };
		ssize_t size;

		ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "it never says %s", part);
		size = recv(notify, text, sizeof(text) - 1, 0);
		text[size > 0 ? size : 0] = '\0';
	}
}

static int status_of_end(void)
{
	int status;

	ck_assert_int_eq(waitpid(broker, &status, 0), broker);
	broker = 0;
	return status;
}

static void teardown(void)
{
	if (broker) {
		kill(broker, SIGTERM);
		ck_assert_int_eq(status_of_end(), 0);
	}
}

static struct vdb_client *connect_to_broker(void)
{
	struct vdb_client *client = vdb_client_connect(path[SOCKET], WAIT_MS, NULL);

	ck_assert_ptr_nonnull(client);
	return client;
}

static unsigned int nr_lines(const char *part)
{
	FILE *file = fopen(path[LOG], "r");
	char line[512];
	unsigned int nr = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		nr += !!strstr(line, part);
	fclose(file);
	return nr;
}

/* ---- the service manager ---- */

/* Also if something wakes the broker just before it is due. */
START_TEST(watchdog_is_fed_in_time)
{
	double least = 100;

	setenv("WATCHDOG_USEC", "2000000", 1);
	start();
	wait_said("READY=1");
	wait_said("WATCHDOG=1");
	/* On a machine that is slow now, perhaps the next time. */
	for (int i = 0; i < 5 && least > 1.4; i++) {
		double begin = seconds(), took;

		usleep(900000);
		vdb_client_close(connect_to_broker());
		wait_said("WATCHDOG=1");
		took = seconds() - begin;
		least = took < least ? took : least;
	}
	ck_assert_msg(least <= 1.4, "%.1f s from one to the next", least);
}
END_TEST

static int connect_raw(void)
{
	const struct vdp_hello hello = {
		.header = { .type = VDP_HELLO, .serial = 1 },
		.min_version = VDP_VERSION, .max_version = VDP_VERSION, .name = "raw",
	};
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path[SOCKET]);
	ck_assert_int_eq(connect(fd, (void *)&address, sizeof(address)), 0);
	ck_assert_int_eq(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
	return fd;
}

static bool is_readable(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

#define MANY	900		/* messages; more than the manager has room for */

/*
 * While the manager does not read (it reloads its units), the broker serves its clients.
 * No client is greeted that the manager does not keep.
 */
START_TEST(manager_that_does_not_read)
{
	unsigned int greeted = 0, kept = 0, removed = 0;
	struct vdb_client *client;
	struct vdb_status status;
	bool rejected = false;
	char text[1024];
	int fd;

	setenv("FDSTORE", "4096", 1);
	setenv("WATCHDOG_USEC", "1000000", 1);
	configure("limits: {connections: 1000, connections_per_user: 1000,\n"
		  "  request_rate: 1000000, request_burst: 1000000}\n");
	start();
	wait_said("READY=1");
	client = connect_to_broker();
	for (;; greeted++) {
		fd = connect_raw();
		if (!is_readable(fd, 1000))
			break;
		close(fd);
		ck_assert_uint_lt(greeted, MANY);
	}
	configure("devices: 5\n");
	ck_assert_int_eq(vdb_client_reload(client), -1);
	ck_assert_int_eq(errno, EIO);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(vdb_client_status(client, &status), 0);
	ck_assert(!is_readable(fd, 0));

	while (kept < greeted + 2 || removed < greeted || !rejected) {
		ssize_t size;

		ck_assert_msg(is_readable(notify, WAIT_MS), "%u of %u are kept, %u removed", kept,
			      greeted + 2, removed);
		size = recv(notify, text, sizeof(text) - 1, 0);
		text[size > 0 ? size : 0] = '\0';
		kept += !!strstr(text, "FDSTORE=1");
		removed += !!strstr(text, "FDSTOREREMOVE=1");
		rejected |= !!strstr(text, "STATUS=The last reload was rejected: ");
	}
	ck_assert(is_readable(fd, WAIT_MS));
	close(fd);
	wait_said("FDSTOREREMOVE=1");
	vdb_client_close(client);
}
END_TEST

/* Mistakes end no lease. The status, the log and every client show them. */
START_TEST(configuration_has_mistakes)
{
	struct vdb_client *client;
	struct vdb_status status;

	configure("devices: 5\n");
	start();
	wait_said("STATUS=Nothing new is granted: ");
	wait_said("READY=1");
	client = connect_to_broker();
	ck_assert_int_eq(vdb_client_status(client, &status), 0);
	ck_assert_str_ne(status.problem, "");
	configure("{}\n");
	ck_assert_int_eq(vdb_client_reload(client), 0);
	wait_said("STATUS=0 of 0 devices are open");
	configure("limits: {connections: 0}\n");
	ck_assert_int_eq(vdb_client_reload(client), -1);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "connections"));
	wait_said("STATUS=The last reload was rejected: ");
	configure("{}\n");
	kill(broker, SIGHUP);
	wait_said("STATUS=0 of 0 devices are open");
	ck_assert_int_eq(vdb_client_status(client, &status), 0);
	ck_assert_str_eq(status.problem, "");
	vdb_client_close(client);
}
END_TEST

START_TEST(it_ends_when_it_is_to)
{
	start();
	wait_said("READY=1");
	kill(broker, _i ? SIGINT : SIGTERM);
	wait_said("STOPPING=1");
	ck_assert_int_eq(status_of_end(), 0);
}
END_TEST

/* ---- the journal ---- */

#define DENIED	2000		/* lines; more than its socket has room for, and the broker keeps */

/* A socket in place of the journal's. */
static int open_journal(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char stream[64];
	struct stat st;

	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("tmpfs", "/run", "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(mkdir("/run/systemd", 0755), 0);
	ck_assert_int_eq(mkdir("/run/systemd/journal", 0755), 0);
	ck_assert_int_eq(bind(fd, (void *)&address, sizeof(address)), 0);
	ck_assert_int_eq(close(open(path[LOG], O_CREAT | O_WRONLY, 0600)), 0);
	ck_assert_int_eq(stat(path[LOG], &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	return fd;
}

static void read_entry(int journal, char *text, size_t size)
{
	ssize_t got;

	ck_assert_msg(is_readable(journal, WAIT_MS), "an entry is missing");
	got = recv(journal, text, size - 1, 0);
	ck_assert_int_gt(got, 0);
	text[got] = '\0';
}

/* The broker serves its clients, keeps what it can, and says what is lost. */
START_TEST(journal_that_does_not_read)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	unsigned int nr = 0, lost = 0;
	int journal = open_journal();
	char text[2048], slice[32];

	configure("log: {lines_per_minute: 100000}\n"
		  "limits: {request_rate: 1000000, request_burst: 1000000}\n");
	start();
	wait_said("READY=1");
	client = connect_to_broker();
	for (int i = 0; i < DENIED; i++) {
		snprintf(slice, sizeof(slice), "nic/%d", i);
		ck_assert_int_eq(vdb_client_acquire(client, slice, 0, 0, 0, 0, &lease), -1);
		ck_assert_int_eq(errno, ENOENT);
	}
	/* In their order. */
	while (!lost) {
		read_entry(journal, text, sizeof(text));
		snprintf(slice, sizeof(slice), "\nSLICE=nic/%u\n", nr);
		if (strstr(text, "entries are lost"))
			sscanf(text, "MESSAGE=%u ", &lost);
		else if (strstr(text, slice))
			nr++;
		else
			ck_assert_ptr_null(strstr(text, "SLICE="));
	}
	ck_assert_uint_ge(nr, 1000);
	ck_assert_uint_eq(nr + lost, DENIED);
	ck_assert_int_eq(vdb_client_acquire(client, "nic/last", 0, 0, 0, 0, &lease), -1);
	read_entry(journal, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "MESSAGE_ID=9817a99343be478784adc0525c99a1f0\n"));
	ck_assert_ptr_nonnull(strstr(text, "SLICE=nic/last\n"));
	ck_assert_ptr_nonnull(strstr(text, "PRIORITY=5\n"));
	vdb_client_close(client);
}
END_TEST

/* ---- name services ---- */

#define READINGS	4	/* that can hang at once */

static int groups = -1;

/*
 * A name service that hangs: a process that opens the file with the groups waits for us,
 * because we have a lease (fcntl) of it.
 */
static void make_groups(void)
{
	char file[64];

	snprintf(file, sizeof(file), "%s/group", dir);
	groups = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_eq(write(groups, "slow:x:7:\n", 10), 10);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount(file, "/etc/group", NULL, MS_BIND, NULL), 0);
	signal(SIGIO, SIG_IGN);
}

static const char by_name[] = "devices: {none: {function: '" NOWHERE "', slices: {\n"
			      "  page: {length: 4K, allow: {groups: [slow]}}}}}\n";

static void check_late(struct vdb_client *client)
{
	double begin = seconds();

	ck_assert_int_eq(vdb_client_reload(client), -1);
	ck_assert_msg(strstr(vdb_client_error(client), "was not read within 5 seconds"),
		      "the error is \"%s\"", vdb_client_error(client));
	ck_assert_double_lt(seconds() - begin, WAIT_MS / 2000);
}

/* The former configuration stays in force, and it can be replaced. */
START_TEST(name_service_that_does_not_answer)
{
	struct vdb_client *client;
	struct vdb_status status;
	double begin;

	make_groups();
	start();
	wait_said("READY=1");
	client = connect_to_broker();
	ck_assert_int_eq(fcntl(groups, F_SETLEASE, F_WRLCK), 0);
	configure(by_name);
	for (int i = 0; i < READINGS; i++) {
		check_late(client);
		ck_assert_int_eq(vdb_client_status(client, &status), 0);
		ck_assert_ptr_nonnull(strstr(status.problem, "was not read"));
		ck_assert(status.grants);
		if (i)
			continue;
		wait_said("STATUS=The last reload was rejected: the configuration was not read");
		configure("{}\n");
		ck_assert_int_eq(vdb_client_reload(client), 0);
		configure(by_name);
	}
	/* No more threads than these. */
	begin = seconds();
	ck_assert_int_eq(vdb_client_reload(client), -1);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "readings of the configuration still wait"));
	ck_assert_double_lt(seconds() - begin, 4);

	ck_assert_int_eq(fcntl(groups, F_SETLEASE, F_UNLCK), 0);
	begin = seconds();
	while (vdb_client_reload(client))
		ck_assert_double_lt(seconds() - begin, WAIT_MS / 1000);
	vdb_client_close(client);
}
END_TEST

/* What the start has begun to read counts also if it is late, unless a reload is requested. */
START_TEST(name_service_that_does_not_answer_at_the_start)
{
	struct vdb_client *client;
	struct vdb_status status;

	make_groups();
	ck_assert_int_eq(fcntl(groups, F_SETLEASE, F_WRLCK), 0);
	configure(by_name);
	start();
	wait_said("STATUS=Nothing new is granted: the configuration is still being read");
	wait_said("READY=1");
	client = connect_to_broker();
	if (_i) {
		check_late(client);
		configure("{}\n");
		ck_assert_int_eq(vdb_client_reload(client), 0);
		wait_said("STATUS=0 of 0 devices are open");
		configure(by_name);
	}
	usleep(_i ? 0 : 6000000);
	ck_assert_int_eq(fcntl(groups, F_SETLEASE, F_UNLCK), 0);
	if (_i)
		ck_assert_int_eq(vdb_client_reload(client), 0);
	wait_said("STATUS=0 of 1 devices are open");
	ck_assert_int_eq(vdb_client_status(client, &status), 0);
	ck_assert(status.grants);
	vdb_client_close(client);
}
END_TEST

/* ---- existing files and sockets ---- */

/* Connections and slices need more than the usual 1024. */
START_TEST(it_may_have_as_many_fds_as_it_can)
{
	struct rlimit before, now;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	start();
	wait_said("READY=1");
	ck_assert_int_eq(prlimit(broker, RLIMIT_NOFILE, NULL, &now), 0);
	ck_assert_uint_eq(now.rlim_cur, before.rlim_max);
}
END_TEST

/* A socket without a listener is replaced; nothing else is. */
START_TEST(file_in_place_of_the_socket)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	ck_assert_int_eq(close(open(path[SOCKET], O_CREAT | O_WRONLY, 0600)), 0);
	/* The variable names another stderr; the log must go to ours. */
	setenv("JOURNAL_STREAM", "1:1", 1);
	start();
	ck_assert_int_eq(WEXITSTATUS(status_of_end()), 1);
	ck_assert_uint_eq(nr_lines("cannot listen there"), 1);
	ck_assert_int_eq(stat(path[SOCKET], &st), 0);
	ck_assert(S_ISREG(st.st_mode));

	ck_assert_int_eq(unlink(path[SOCKET]), 0);
	strcpy(address.sun_path, path[SOCKET]);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(bind(fd, (void *)&address, sizeof(address)), 0);
	close(fd);
	start();
	wait_said("READY=1");
	ck_assert_int_eq(stat(path[SOCKET], &st), 0);
	/* All users can connect. */
	ck_assert_uint_eq(st.st_mode & 0777, 0777);
}
END_TEST

static void wait_file(const char *file, struct stat *st)
{
	double begin = seconds();

	while (stat(file, st)) {
		ck_assert_msg(seconds() - begin < WAIT_MS / 1000, "%s is not written", file);
		usleep(10000);
	}
}

/* With any file at the temporary path. The umask determines who can read the metrics. */
START_TEST(metrics_in_a_file)
{
	char text[160], file[80], new[96];
	struct stat st;

	snprintf(file, sizeof(file), "%s/metrics", dir);
	snprintf(new, sizeof(new), "%s.new", file);
	snprintf(text, sizeof(text), "metrics: {file: %s}\n", file);
	configure(text);
	if (_i == 0)
		ck_assert_int_eq(mkfifo(new, 0600), 0);
	else if (_i == 1)
		ck_assert_int_eq(link(path[CONFIG], new), 0);
	else
		ck_assert_int_eq(symlink(path[CONFIG], new), 0);
	umask(027);
	start();
	wait_said("READY=1");
	wait_file(file, &st);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(stat(path[CONFIG], &st), 0);
	ck_assert_uint_eq(st.st_size, strlen(text));
	vdb_client_close(connect_to_broker());
}
END_TEST

static bool note_reason(const struct vdb_device_info *info, void *reason)
{
	snprintf(reason, 192, "%s", info->reason);
	return true;
}

/* It is tried again and again, and that is not news; but it can be asked for. */
START_TEST(device_that_is_not_there)
{
	struct vdb_client *client;
	char reason[192] = "";

	configure("devices: {none: {function: '" NOWHERE "', slices: {\n"
		  "  page: {length: 4K, allow: everybody}}}}\n");
	start();
	wait_said("READY=1");
	client = connect_to_broker();
	/* It is tried at once, after one second, and after two more. */
	usleep(3500000);
	ck_assert_int_eq(vdb_client_devices(client, note_reason, reason), 0);
	ck_assert_msg(strstr(reason, "not bound"), "the reason is \"%s\"", reason);
	ck_assert_uint_eq(nr_lines(NOWHERE " is not open: "), 1);
	vdb_client_close(client);
}
END_TEST

/* ---- stored fds ---- */

static unsigned int nr_fds(void)
{
	char name[64];
	unsigned int nr = 0;
	DIR *fds;

	snprintf(name, sizeof(name), "/proc/%d/fd", broker);
	fds = opendir(name);
	ck_assert_ptr_nonnull(fds);
	while (readdir(fds))
		nr++;
	closedir(fds);
	return nr;
}

static void send_with_fd(int to, int fd)
{
	char data[16] = "", answer[512];

	ck_assert_int_eq(fds_send(to, data, sizeof(data), &fd, 1, 0), 0);
	/* That it is wrong, and then the end. */
	ck_assert_int_gt(recv(to, answer, sizeof(answer), 0), 0);
	ck_assert_int_eq(recv(to, answer, sizeof(answer), 0), 0);
}

/* Of connections that end in all manner of ways. */
START_TEST(connections_leave_no_fds)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	unsigned int before;
	double begin;

	start();
	wait_said("READY=1");
	vdb_client_close(connect_to_broker());
	before = nr_fds();
	strcpy(address.sun_path, path[SOCKET]);
	for (int i = 0; i < 40; i++) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		ck_assert_int_eq(connect(fd, (void *)&address, sizeof(address)), 0);
		if (i % 5 == 1)
			send(fd, "nonsense", 8, 0);
		else if (i % 5 == 2)
			shutdown(fd, SHUT_RDWR);
		else if (i % 5 == 3)
			send(fd, "", 0, 0);
		else if (i % 5 == 4)
			send_with_fd(fd, notify);
		close(fd);
		vdb_client_close(connect_to_broker());
	}
	begin = seconds();
	while (nr_fds() > before) {
		ck_assert_msg(seconds() - begin < WAIT_MS / 1000, "%u fds, not %u", nr_fds(), before);
		usleep(10000);
	}
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker_process");
	TCase *tc = add_group(s, "manager");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, watchdog_is_fed_in_time);
	tcase_add_test(tc, manager_that_does_not_read);
	tcase_add_test(tc, configuration_has_mistakes);
	tcase_add_loop_test(tc, it_ends_when_it_is_to, 0, 2);

	tc = add_group(s, "journal");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, journal_that_does_not_read);

	tc = add_group(s, "names");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, name_service_that_does_not_answer);
	tcase_add_loop_test(tc, name_service_that_does_not_answer_at_the_start, 0, 2);

	tc = add_group(s, "start");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, it_may_have_as_many_fds_as_it_can);
	tcase_add_test(tc, file_in_place_of_the_socket);
	tcase_add_loop_test(tc, metrics_in_a_file, 0, 3);
	tcase_add_test(tc, device_that_is_not_there);

	tc = add_group(s, "end");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, connections_leave_no_fds);
	return s;
}
