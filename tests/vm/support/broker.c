/* SPDX-License-Identifier: MIT */
/* The broker, started and killed by tests, and clients of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define BROKER		"/usr/sbin/vfio-dmabufd"
#define CONFIG		"/tmp/broker.yaml"

void broker_configure(const char *text)
{
	FILE *file = fopen(CONFIG, "w");

	ck_assert_ptr_nonnull(file);
	while (*text) {
		const char *at = strchr(text, '@'), *end = at ? strchr(at + 1, '@') : NULL;
		unsigned long number;
		char name[32];

		if (!end) {
			fputs(text, file);
			break;
		}
		fwrite(text, 1, at - text, file);
		snprintf(name, sizeof(name), "%.*s", (int)(end - at - 1), at + 1);
		number = page_number(name);
		if (number)
			fprintf(file, "%lu", number);
		else
			fputs(lab_bdf(name), file);
		text = end + 1;
	}
	ck_assert_int_eq(fclose(file), 0);
}

/* Its log is a file of the test. What is in the file stays, as over a restart. */
static pid_t start(char *const argv[])
{
	int status, saved = dup(2), log = open(BROKER_LOG, O_WRONLY | O_CREAT | O_APPEND, 0666);
	pid_t pid;

	ck_assert_works(log);
	dup2(log, 2);
	pid = manager_start(argv, &status);
	dup2(saved, 2);
	close(saved);
	close(log);
	return pid;
}

static void show_log(void)
{
	char line[512];
	FILE *file = fopen(BROKER_LOG, "r");

	while (file && fgets(line, sizeof(line), file))
		fputs(line, stderr);
	if (file)
		fclose(file);
}

pid_t broker_start(void)
{
	char *argv[] = { BROKER, "-c", CONFIG, "-d", BROKER_CONF_D, NULL };
	pid_t pid = start(argv);

	if (!pid) {
		show_log();
		ck_abort_msg("the broker does not start");
	}
	return pid;
}

pid_t broker_start_traced(const char *options)
{
	char command[512];
	/* -D: the broker stays our child, with the pid that it was promised. */
	char *argv[] = { "/usr/bin/sh", "-c", command, NULL };

	snprintf(command, sizeof(command),
		 "exec strace -D -f -o " BROKER_TRACE " %s " BROKER " -c " CONFIG " -d " BROKER_CONF_D, options);
	return start(argv);
}

void broker_start_fails(void)
{
	char *argv[] = { BROKER, "-c", CONFIG, "-d", BROKER_CONF_D, NULL };

	ck_assert_int_eq(start(argv), 0);
}

void broker_check_sanitizers(void)
{
	static const char *const words[] = {
		"runtime error: ", "ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!broker_logged(words[i]))
			continue;
		show_log();
		ck_abort_msg("a sanitizer has found something in the broker");
	}
}

void broker_stop(pid_t pid, int number)
{
	int status;

	kill(pid, number);
	status = manager_wait(pid);
	broker_check_sanitizers();
	if (number == SIGTERM && status) {
		show_log();
		ck_abort_msg("the broker ended with %x", status);
	}
}

bool broker_logged(const char *text)
{
	char line[1024];
	FILE *file = fopen(BROKER_LOG, "r");
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text);
	if (file)
		fclose(file);
	return found;
}

unsigned int broker_count_lines(const char *text)
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

void broker_wait_log(const char *text)
{
	int watch = inotify_init1(IN_CLOEXEC);
	char event[512];

	ck_assert_works(inotify_add_watch(watch, BROKER_LOG, IN_MODIFY));
	while (!broker_logged(text))
		ck_assert_works(read(watch, event, sizeof(event)));
	close(watch);
}

void broker_forget_log(void)
{
	ck_assert_works(truncate(BROKER_LOG, 0));
}

void broker_reload(pid_t pid, bool accepted)
{
	broker_forget_log();
	kill(pid, SIGHUP);
	broker_wait_log(accepted ? "the configuration is in force" : "the reload is rejected");
}

const char *broker_name_of_device(const char *name)
{
	static char stored[64];
	const char *bdf = lab_bdf(name);

	snprintf(stored, sizeof(stored), "device-%.4s_%.2s_%s", bdf, bdf + 5, bdf + 8);
	return stored;
}

struct vdb_client *broker_connect(void)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_client *client = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, error);

	ck_assert_msg(client, "connect: %s", error);
	return client;
}

void broker_wait_open(struct vdb_client *client)
{
	struct vdb_status status;

	do {
		usleep(10000);
		ck_assert_works(vdb_client_status(client, &status));
	} while (status.devices_open < status.devices);
}

static bool ignore(const struct vdb_lease_info *info, void *data)
{
	(void)info, (void)data;
	return true;
}

struct vdb_lease broker_acquire(struct vdb_client *client, const char *name, uint32_t index)
{
	struct vdb_lease lease;
	int ret = vdb_client_acquire(client, name, index, 0, 0, BROKER_MS, &lease);

	if (ret)
		show_log();
	ck_assert_msg(!ret, "%s: %s: %s", name, strerrorname_np(errno), vdb_client_error(client));
	/* One that is killed between its answer and noting that down ends the lease. */
	ck_assert_works(vdb_client_leases(client, ignore, NULL));
	return lease;
}

int broker_acquire_error(struct vdb_client *client, const char *name, uint32_t index,
			 unsigned int flags, uint32_t seconds)
{
	struct vdb_lease lease;

	errno = 0;
	ck_assert_int_eq(vdb_client_acquire(client, name, index, flags, seconds, 0, &lease), -1);
	ck_assert_str_ne(vdb_client_error(client), "");
	return errno;
}

void broker_as_user(uid_t uid, gid_t gid, void (*fn)(void))
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

void broker_expect(struct vdb_client *client, uint64_t lease, enum vdb_state state,
		   enum vdb_end end)
{
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };
	struct vdb_event event;
	int ret;

	while (!(ret = vdb_client_next(client, &event)))
		ck_assert_int_eq(poll(&p, 1, -1), 1);
	ck_assert_msg(ret == 1, "next: %s: %s", strerrorname_np(errno), vdb_client_error(client));
	ck_assert_uint_eq(event.lease, lease);
	ck_assert_int_eq(event.state, state);
	ck_assert_int_eq(event.end, end);
}

int raw_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = MANAGER_SOCKET };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_works(fd);
	ck_assert_works(connect(fd, (void *)&address, sizeof(address)));
	return fd;
}

ssize_t raw_ask(int fd, const void *request, size_t size, void *answer)
{
	ssize_t got;

	ck_assert_int_eq(send(fd, request, size, MSG_NOSIGNAL), size);
	got = recv(fd, answer, VDP_MAX_MESSAGE, 0);
	return got < 0 && errno == ECONNRESET ? 0 : got;
}

int raw_connect_greeted(void)
{
	const struct vdp_hello hello = {
		.header = { .type = VDP_HELLO, .serial = 1 },
		.min_version = VDP_VERSION, .max_version = VDP_VERSION, .name = "raw",
	};
	char answer[VDP_MAX_MESSAGE];
	int fd = raw_connect();

	ck_assert_int_eq(raw_ask(fd, &hello, sizeof(hello), answer),
			 sizeof(struct vdp_hello_answer));
	return fd;
}
