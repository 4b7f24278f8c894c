// SPDX-License-Identifier: MIT
/* The command prints what happens to leases and devices, and renews leases. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "command.h"
#include "manager.h"
#include "suite.h"
#include "sysfs.h"

#define S		"-S " MANAGER_SOCKET
#define CLIENT		1000
#define AS_CLIENT	"/usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups vfio-dmabuf "

static const char config[] =
	"devices:\n"
	"  edu: {function: @EDU@, reset: never, slices: {\n"
	"    page: {length: @PAGE@, allow: everybody},\n"
	"    short: {length: @PAGE@, offset: @4PAGE@, max_time: 1h, allow: everybody}}}\n"
	"  nvme: {function: @NVME@, reset: never, slices: {a: {length: @PAGE@, allow: everybody}}}\n";
static pid_t broker;

static void start_broker(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

/* Runs also after a test that failed. */
static void stop_broker(void)
{
	broker_stop(broker, SIGTERM);
	if (!driver_bound(lab_bdf("NVME")))
		driver_rebind(lab_bdf("NVME"));
}

/* ---- a watcher ---- */

struct watcher {
	pid_t pid;
	FILE *lines;
};

static struct watcher watch_as(uid_t uid, const char *json)
{
	struct watcher watcher;
	int pipes[2];

	ck_assert_works(pipe2(pipes, O_CLOEXEC));
	watcher.pid = fork();
	if (!watcher.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pipes[1], STDOUT_FILENO);
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(99);
		execlp("vfio-dmabuf", "vfio-dmabuf", "-S", MANAGER_SOCKET, "watch", json, NULL);
		_exit(98);
	}
	close(pipes[1]);
	watcher.lines = fdopen(pipes[0], "r");
	return watcher;
}

static char line[4096];

/* The next line; waits until the time limit of the test. */
static const char *next_line(struct watcher *watcher)
{
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), watcher->lines));
	ck_assert_ptr_nonnull(strchr(line, '\n'));
	return line;
}

static const char *text_of(json_t *value, const char *key)
{
	return json_string_value(json_object_get(value, key)) ?: "none";
}

static uint64_t number_of(json_t *value, const char *key)
{
	ck_assert_msg(json_is_integer(json_object_get(value, key)), "no %s: %s", key, line);
	return json_integer_value(json_object_get(value, key));
}

/* Checks the type of the next event, and returns it. */
static json_t *next(struct watcher *watcher, const char *event)
{
	json_t *value = command_json("watch", next_line(watcher));

	ck_assert_msg(!strcmp(text_of(value, "event"), event), "not %s: %s", event, line);
	return value;
}

/* When this returns, the watcher sees all later events. */
static struct watcher watch(uid_t uid)
{
	struct watcher watcher = watch_as(uid, "--json");

	next(&watcher, "watching");
	return watcher;
}

/* Waits until it ends, by itself or by a signal, and returns its exit status. */
static int end(struct watcher *watcher, int number)
{
	int status;

	if (number)
		kill(watcher->pid, number);
	ck_assert_int_eq(waitpid(watcher->pid, &status, 0), watcher->pid);
	fclose(watcher->lines);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- leases ---- */

START_TEST(leases_are_watched)
{
	struct vdb_client *client = broker_connect();
	struct watcher watcher;
	struct vdb_lease lease;
	struct timespec now;
	json_t *value;
	double time;

	/* All devices are open now. */
	broker_wait_open(client);
	watcher = watch(0);
	lease = broker_acquire(client, "edu/short", 0);
	value = next(&watcher, "granted");
	ck_assert_uint_eq(number_of(value, "lease"), lease.id);
	ck_assert_str_eq(text_of(value, "slice"), "edu/short");
	ck_assert_str_eq(text_of(value, "bdf"), lab_bdf("EDU"));
	ck_assert_uint_eq(number_of(value, "offset"), 0x4000);
	ck_assert_uint_eq(number_of(value, "seconds"), 3600);
	ck_assert_uint_eq(number_of(value, "pid"), getpid());
	ck_assert_uint_eq(number_of(value, "uid"), 0);
	/* It is the time of the wall clock. */
	clock_gettime(CLOCK_REALTIME, &now);
	time = json_real_value(json_object_get(value, "time"));
	ck_assert(time <= now.tv_sec + 1 && time >= now.tv_sec - 600);
	ck_assert_works(vdb_client_release(client, lease.id));
	value = next(&watcher, "ended");
	ck_assert_uint_eq(number_of(value, "lease"), lease.id);
	ck_assert_str_eq(text_of(value, "end"), "released");
	ck_assert_int_eq(end(&watcher, SIGINT), 128 + SIGINT);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

static void lease_as_client(void)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/short", 0);

	ck_assert_works(vdb_client_release(client, lease.id));
}

/* An ordinary user does not see events of other users. */
START_TEST(others_see_their_own)
{
	struct vdb_client *client = broker_connect();
	struct watcher watcher;
	struct vdb_lease lease;
	uint64_t own;

	broker_wait_open(client);
	watcher = watch(CLIENT);
	lease = broker_acquire(client, "edu/page", 0);
	broker_as_user(CLIENT, CLIENT, lease_as_client);
	own = number_of(next(&watcher, "granted"), "lease");
	ck_assert_uint_ne(own, lease.id);
	ck_assert_uint_eq(number_of(next(&watcher, "ended"), "lease"), own);
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_as_user(CLIENT, CLIENT, lease_as_client);
	ck_assert_uint_ne(number_of(next(&watcher, "granted"), "lease"), lease.id);
	end(&watcher, SIGTERM);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

START_TEST(text_is_for_people)
{
	struct vdb_client *client = broker_connect();
	struct watcher watcher;
	struct vdb_lease lease;
	char text[128];

	broker_wait_open(client);
	watcher = watch_as(0, NULL);
	ck_assert_ptr_nonnull(strstr(next_line(&watcher), "TIME                 EVENT      WHAT\n"));
	lease = broker_acquire(client, "edu/short", 0);
	snprintf(text, sizeof(text), "  granted    lease %" PRIu64 "  edu/short[0]  for 3600 s, ", lease.id);
	ck_assert_msg(strstr(next_line(&watcher), text), "%s", line);
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert_msg(strstr(next_line(&watcher), "  edu/short[0]  released by its client, "), "%s", line);
	end(&watcher, SIGTERM);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

/* ---- devices ---- */

START_TEST(devices_are_watched)
{
	struct vdb_client *client = broker_connect();
	struct watcher watcher;
	struct vdb_lease lease;
	json_t *value;

	broker_wait_open(client);
	watcher = watch(0);
	lease = broker_acquire(client, "nvme/a", 0);
	next(&watcher, "granted");
	ck_assert_works(driver_unbind(lab_bdf("NVME")));
	value = next(&watcher, "device-lost");
	ck_assert_str_eq(text_of(value, "device"), "nvme");
	ck_assert_str_eq(text_of(value, "bdf"), lab_bdf("NVME"));
	ck_assert_str_eq(text_of(value, "reason"), "it is being unbound or unplugged");
	value = next(&watcher, "ended");
	ck_assert_str_eq(text_of(value, "end"), "device");
	driver_rebind(lab_bdf("NVME"));
	value = next(&watcher, "device-open");
	ck_assert_str_eq(text_of(value, "bdf"), lab_bdf("NVME"));
	end(&watcher, SIGTERM);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

/* ---- the broker ---- */

/* If the broker is killed, its watchers continue, and report that events can be missing. */
START_TEST(restarts_are_reported)
{
	struct vdb_client *client = broker_connect();
	struct watcher watcher;
	struct vdb_lease lease;

	broker_wait_open(client);
	watcher = watch(0);
	/* Two connections of this test: this one and the watcher's. */
	manager_wait_count("client-", 2);
	broker_stop(broker, SIGKILL);
	broker = broker_start();
	next(&watcher, "restarted");
	next(&watcher, "device-open");
	next(&watcher, "device-open");
	lease = broker_acquire(client, "edu/page", 0);
	ck_assert_uint_eq(number_of(next(&watcher, "granted"), "lease"), lease.id);
	/* Without its connection, the watcher cannot continue. */
	broker_stop(broker, SIGTERM);
	manager_forget("client-");
	ck_assert_int_eq(end(&watcher, 0), 1);
	broker = broker_start();
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

/* A watcher that does not read does not delay others. */
START_TEST(watchers_that_do_not_read)
{
	struct vdp_plain request = { .header = { .type = VDP_WATCH, .serial = 2 } };
	struct vdb_client *client = broker_connect();
	char answer[VDP_MAX_MESSAGE];
	int mute = raw_connect_greeted();
	struct watcher watcher;

	broker_wait_open(client);
	ck_assert_int_eq(raw_ask(mute, &request, sizeof(request), answer), sizeof(request));
	watcher = watch(0);
	for (int i = 0; i < 20; i++) {
		struct vdb_lease lease = broker_acquire(client, "edu/page", 0);

		ck_assert_uint_eq(number_of(next(&watcher, "granted"), "lease"), lease.id);
		ck_assert_works(vdb_client_release(client, lease.id));
		next(&watcher, "ended");
		vdb_slice_free(lease.slice);
	}
	/* It has received the oldest events. */
	ck_assert_int_eq(recv(mute, answer, sizeof(answer), 0), sizeof(struct vdp_news));
	ck_assert_uint_eq(((struct vdp_news *)answer)->type, VDP_NEWS_GRANTED);
	ck_assert_uint_eq(((struct vdp_news *)answer)->header.serial, 2);
	close(mute);
	end(&watcher, SIGTERM);
	vdb_client_close(client);
}
END_TEST

/* It notices this before the next event. */
START_TEST(watch_ends_with_its_reader)
{
	struct watcher watcher = watch(0);
	int status;

	fclose(watcher.lines);
	ck_assert_int_eq(waitpid(watcher.pid, &status, 0), watcher.pid);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
}
END_TEST

/* An event comes at the same time. */
START_TEST(watch_ends_with_its_reader_while_it_prints)
{
	struct vdb_client *client = broker_connect();
	struct watcher watcher;
	struct vdb_lease lease;
	int status;

	broker_wait_open(client);
	watcher = watch(0);
	kill(watcher.pid, SIGSTOP);
	ck_assert_int_eq(waitpid(watcher.pid, &status, WUNTRACED), watcher.pid);
	lease = broker_acquire(client, "edu/short", 0);
	fclose(watcher.lines);
	kill(watcher.pid, SIGCONT);
	ck_assert_int_eq(waitpid(watcher.pid, &status, 0), watcher.pid);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

/* ---- renewing ---- */

static bool see_seconds(const struct vdb_lease_info *info, void *data)
{
	*(uint32_t *)data = info->seconds;
	return true;
}

START_TEST(leases_are_renewed)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease;
	uint32_t seconds = 0;
	json_t *list;

	ck_assert_works(vdb_client_acquire(client, "edu/short", 0, 0, 600, BROKER_MS, &lease));
	ck_assert_runs("renew " S " -t 30m %" PRIu64, lease.id);
	check_says(": 1800 s left");
	ck_assert_works(vdb_client_leases(client, see_seconds, &seconds));
	ck_assert(seconds > 600 && seconds <= 1800);
	list = vfio_dmabuf_json("renew " S " --json %" PRIu64, lease.id);
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_uint_eq(number_of(json_array_get(list, 0), "lease"), lease.id);
	ck_assert_uint_eq(number_of(json_array_get(list, 0), "seconds"), 3600);
	/* More time than the slice allows; a lease of another connection; a lease that does not exist. */
	ck_assert_int_eq(vfio_dmabuf("renew " S " -t 2h %" PRIu64, lease.id), 1);
	check_says("cannot last for 7200 s from now");
	ck_assert_int_eq(shell(AS_CLIENT "renew " S " %" PRIu64, lease.id), 1);
	check_says("of this connection (administrators can renew others)");
	ck_assert_int_eq(vfio_dmabuf("renew " S " 12345"), 1);
	check_says("there is no lease 12345");
	ck_assert_int_eq(vfio_dmabuf("renew " S " -t 010 1"), 2);
	check_says("\"010\" is not a time; write seconds, or 30s, 5m, 2h, 1d");
	ck_assert_int_eq(vfio_dmabuf("renew " S " 010"), 2);
	check_says("\"010\" is not the number of a lease, decimal or 0x...");
	ck_assert_int_eq(vfio_dmabuf("revoke " S " 010"), 2);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("watch");
	TCase *tc = add_group(s, "watch");

	tcase_add_checked_fixture(tc, start_broker, stop_broker);
	tcase_add_test(tc, leases_are_watched);
	tcase_add_test(tc, others_see_their_own);
	tcase_add_test(tc, text_is_for_people);
	tcase_add_test(tc, devices_are_watched);
	tcase_add_test(tc, restarts_are_reported);
	tcase_add_test(tc, watchers_that_do_not_read);
	tcase_add_test(tc, watch_ends_with_its_reader);
	tcase_add_test(tc, watch_ends_with_its_reader_while_it_prints);
	tcase_add_test(tc, leases_are_renewed);
	return s;
}
