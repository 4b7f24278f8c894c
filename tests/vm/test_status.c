// SPDX-License-Identifier: MIT
/* What people and monitoring see of the broker: status, reload, doctor, metrics. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker.h"
#include "command.h"
#include "manager.h"
#include "prompt.h"
#include "suite.h"
#include "sysfs.h"

#define S		"-S " MANAGER_SOCKET
#define AS_CLIENT	"/usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups vfio-dmabuf "
#define GONE		"0000:7f:00.0"
#define FILE_PATH	"/tmp/vfio-dmabuf.prom"
#define SOCKET_PATH	"/tmp/metrics.socket"

#define LIMITS		"limits: {leases_per_user: 2}\n" \
			"kept: {root: {connections: 4, leases: 1}}\n"
#define EDU		"devices: {edu: {function: @EDU@, reset: never, slices: {\n" \
			"  array: {length: @PAGE@, offset: @8PAGE@, count: 8, allow: everybody}}}"
/* One that no machine has. */
#define WITH_GONE	", gone: {function: '" GONE "', slices: {\n" \
			"  page: {length: @PAGE@, allow: everybody}}}"
#define WITH_PAGE	", mem: {function: @IVSHMEM@, reset: never, slices: {\n" \
			"  page: {bar: 2, length: @PAGE@, allow: everybody}}}"
#define END		"}\n"

static pid_t broker;

static void start_with(const char *config)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

static void start_broker(void)
{
	start_with(LIMITS EDU END);
}

static void stop_broker(void)
{
	broker_stop(broker, SIGTERM);
}

/* ---- status ---- */

/* Also of one whose exit status is not 0. */
static json_t *said(void)
{
	return command_json("status", command_out);
}

static json_int_t number(json_t *value, const char *object, const char *key)
{
	json_t *found = json_object_get(json_object_get(value, object), key);

	ck_assert_msg(json_is_integer(found), "no %s.%s: %s", object, key, command_out);
	return json_integer_value(found);
}

static const char *text(json_t *value, const char *key)
{
	return json_string_value(json_object_get(value, key)) ?: "none";
}

START_TEST(status_of_what_is_lent)
{
	struct vdb_client *client = broker_connect();
	json_t *status, *device, *account;

	broker_acquire(client, "edu/array", 0);
	ck_assert_runs("status " S);
	check_says("broker: it grants leases\n");
	check_says("leases: 1 granted, 0 waiting, 0 ending; interrupts: 0\n");
	check_says("WHAT         USED    LIMIT  POOL USED     POOL  LIMIT PER USER\n");
	check_says("leases          1     1024          0     1023               2\n");
	check_says("memory        0 B  256 MiB        0 B  256 MiB          64 MiB\n");
	check_says("  open        1        0\n");
	check_says_not("near the limit");

	broker_acquire(client, "edu/array", 1);
	ck_assert_runs("status " S);
	check_says("\n0     ");
	check_says("2 of 2 (near the limit)");
	status = vfio_dmabuf_json("status --json " S);
	ck_assert(json_is_true(json_object_get(status, "grants")));
	ck_assert(json_is_true(json_object_get(status, "admin")));
	ck_assert(json_is_null(json_object_get(status, "problem")));
	ck_assert_int_eq(number(status, "leases", "used"), 2);
	ck_assert_int_eq(number(status, "leases", "granted"), 2);
	ck_assert_int_eq(number(status, "leases", "per_user"), 2);
	ck_assert_int_eq(number(status, "connections", "used"), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(status, "devices")), 1);
	device = json_array_get(json_object_get(status, "devices"), 0);
	ck_assert_str_eq(text(device, "name"), "edu");
	ck_assert_str_eq(text(device, "bdf"), lab_bdf("EDU"));
	ck_assert_str_eq(text(device, "state"), "open");
	ck_assert(json_is_null(json_object_get(device, "reason")));
	account = json_array_get(json_object_get(status, "accounts"), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(account, "user")), 0);
	ck_assert_int_eq(number(account, "leases", "used"), 2);
	ck_assert_int_eq(number(account, "leases", "limit"), 2);
	vdb_client_close(client);
}
END_TEST

START_TEST(status_for_other_users)
{
	json_t *status;

	broker_acquire(broker_connect(), "edu/array", 0);
	ck_assert_int_eq(shell(AS_CLIENT "status " S), 0);
	check_says("broker: it grants leases\n");
	check_says("leases                    2\n");
	check_says("1000  1 of 16      0 of 2  0 B of 64 MiB\n");
	check_says_not("edu");
	check_says_not("\n0  ");
	ck_assert_int_eq(shell(AS_CLIENT "status --json " S), 0);
	status = said();
	ck_assert(json_is_false(json_object_get(status, "admin")));
	ck_assert(json_is_null(json_object_get(status, "devices")));
	ck_assert_uint_eq(json_array_size(json_object_get(status, "accounts")), 1);
	ck_assert_ptr_null(json_object_get(json_object_get(status, "leases"), "used"));
}
END_TEST

START_TEST(status_without_a_broker)
{
	ck_assert_int_eq(vfio_dmabuf("status -S /nowhere"), 1);
	check_says("is vfio-dmabufd.socket active?");
	ck_assert_int_eq(vfio_dmabuf("reload -S /nowhere"), 1);
	ck_assert_int_eq(vfio_dmabuf("status x"), 2);
	ck_assert_int_eq(vfio_dmabuf("reload x"), 2);
}
END_TEST

START_TEST(device_that_is_missing)
{
	json_t *device;

	broker_configure(LIMITS EDU WITH_GONE END);
	ck_assert_runs("reload " S);
	broker_wait_log(GONE " is not open");
	broker_acquire(broker_connect(), "edu/array", 0);
	ck_assert_int_eq(vfio_dmabuf("status " S), 1);
	check_says("gone    " GONE "  ");
	check_says("gone (" GONE "): it cannot be opened: it does not exist or is not bound");
	check_says("vfio-dmabuf bind " GONE);
	ck_assert_runs("devices " S);
	check_says("gone (" GONE "): it cannot be opened: it does not exist or is not bound");
	check_says("(not there)");
	ck_assert_int_eq(vfio_dmabuf("status --json " S), 1);
	device = json_array_get(json_object_get(said(), "devices"), 1);
	ck_assert_str_eq(text(device, "name"), "gone");
	ck_assert_ptr_nonnull(strstr(text(device, "reason"), "it cannot be opened: it does not exist"));

	ck_assert_int_eq(vfio_dmabuf("doctor " S), 1);
	check_says("missing  device   gone: " GONE " is ");
	check_says("it cannot be opened: it does not exist or is not bound");
	check_says(GONE ", and its slices are not granted");
	check_says_not("all devices");
	/* Other users do not see why. */
	ck_assert_int_eq(shell(AS_CLIENT "doctor " S), 0);
	check_says("warning  device   " GONE " is ");

	broker_configure(LIMITS EDU END);
	ck_assert_runs("reload " S);
	ck_assert_runs("status " S);
	ck_assert_runs("doctor " S);
	check_says("ok       device   all devices of the broker's configuration are open");
}
END_TEST

/* ---- reload ---- */

START_TEST(reload_is_accepted)
{
	json_t *answer;

	broker_configure(LIMITS EDU WITH_PAGE END);
	ck_assert_runs("reload " S);
	ck_assert_str_eq(command_out, "");
	ck_assert_runs("slices " S);
	check_says("mem/page");
	answer = vfio_dmabuf_json("reload --json " S);
	ck_assert(json_is_true(json_object_get(answer, "reloaded")));
}
END_TEST

START_TEST(reload_is_rejected)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/array", 0);

	broker_configure(LIMITS "frobnicate: 1\n" EDU END);
	ck_assert_int_eq(vfio_dmabuf("reload " S), 1);
	check_says("the reload failed; the former configuration stays in force: ");
	check_says(":3:1: ");
	check_says("frobnicate");
	ck_assert_int_eq(vfio_dmabuf("status " S), 1);
	check_says("broker: it grants leases, but the configuration is rejected: ");
	check_says(":3:1: ");
	ck_assert_int_eq(vfio_dmabuf("status --json " S), 1);
	ck_assert_ptr_nonnull(strstr(text(said(), "problem"), "frobnicate"));
	ck_assert_int_eq(vfio_dmabuf("doctor " S), 1);
	check_says("missing  broker   its configuration is rejected: ");
	ck_assert_works(vdb_client_release(client, lease.id));

	broker_configure(LIMITS EDU END);
	ck_assert_runs("reload " S);
	ck_assert_runs("status " S);
}
END_TEST

START_TEST(reload_is_for_administrators)
{
	ck_assert_int_eq(shell(AS_CLIENT "reload " S), 1);
	check_says("only administrators");
	ck_assert(!broker_logged("the configuration is in force"));
}
END_TEST

/* ---- metrics ---- */

static char metrics[65536];

#define OF_EDU	"vfio_dmabuf_leases{device=\"edu\",function=\"%s\",phase=\"granted\"} %d\n"

static bool file_has(const char *path, const char *what)
{
	FILE *file = fopen(path, "r");
	size_t size;

	if (!file)
		return false;
	size = fread(metrics, 1, sizeof(metrics) - 1, file);
	metrics[size] = '\0';
	fclose(file);
	/* Never a part of it. */
	ck_assert_uint_gt(size, 6);
	ck_assert_str_eq(metrics + size - 6, "# EOF\n");
	return strstr(metrics, what);
}

/* As long as the test may. */
static void wait_for(const char *path, const char *what)
{
	while (!file_has(path, what))
		usleep(10000);
}

static void check_answer(const char *what)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t size = 0;
	ssize_t got;

	ck_assert_works(connect(fd, (void *)&address, sizeof(address)));
	ck_assert_int_eq(send(fd, "GET /metrics HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL), 25);
	while ((got = recv(fd, metrics + size, sizeof(metrics) - 1 - size, 0)) > 0)
		size += got;
	ck_assert_int_eq(got, 0);
	metrics[size] = '\0';
	close(fd);
	ck_assert_int_eq(strncmp(metrics, "HTTP/1.0 200 OK\r\n", 17), 0);
	ck_assert_ptr_nonnull(strstr(metrics, "\r\n\r\n# TYPE vfio_dmabuf_grants gauge\n"));
	ck_assert_str_eq(metrics + size - 6, "# EOF\n");
	ck_assert_msg(strstr(metrics, what), "\"%s\" is not in: %s", what, metrics);
}

START_TEST(metrics_go_where_the_configuration_says)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	struct stat file;
	char line[128];

	broker_configure("metrics: {file: " FILE_PATH ", interval: 1s}\n" EDU END);
	ck_assert_runs("reload " S);
	client = broker_connect();
	lease = broker_acquire(client, "edu/array", 0);
	snprintf(line, sizeof(line), OF_EDU, lab_bdf("EDU"), 1);
	/* Also if nothing happens. */
	wait_for(FILE_PATH, line);
	ck_assert_works(stat(FILE_PATH, &file));
	ck_assert_uint_eq(file.st_mode & 0777, 0644);
	ck_assert_works(vdb_client_release(client, lease.id));
	wait_for(FILE_PATH, "vfio_dmabuf_leases_ended_total{reason=\"released\"} 1\n");
	ck_assert_int_eq(access(SOCKET_PATH, F_OK), -1);

	broker_configure("metrics: {socket: " SOCKET_PATH ", file: " FILE_PATH "2, interval: 1h}\n" EDU END);
	ck_assert_runs("reload " S);
	ck_assert_int_eq(access(FILE_PATH, F_OK), -1);
	check_answer("vfio_dmabuf_leases_ended_total{reason=\"released\"} 1\n");
	broker_acquire(client, "edu/array", 0);
	check_answer(line);
	wait_for(FILE_PATH "2", "vfio_dmabuf_grants 1\n");

	broker_stop(broker, SIGTERM);
	ck_assert_int_eq(access(SOCKET_PATH, F_OK), -1);
	ck_assert_int_eq(access(FILE_PATH "2", F_OK), -1);
	broker = broker_start();
	check_answer(line);
	wait_for(FILE_PATH "2", line);
	vdb_client_close(client);
}
END_TEST

/* The broker continues. */
START_TEST(metrics_that_cannot_be_written)
{
	broker_configure("metrics: {socket: /nowhere/socket, file: /nowhere/file, interval: 1s}\n" EDU END);
	ck_assert_runs("reload " S);
	broker_wait_log("/nowhere/socket: cannot listen for metrics: No such file or directory");
	broker_wait_log("/nowhere/file: cannot write metrics: No such file or directory");
	broker_acquire(broker_connect(), "edu/array", 0);
}
END_TEST

/* The disk is so slow that the file never comes to its place. */
START_TEST(metrics_on_a_slow_disk_hold_up_nobody)
{
	struct vdb_client *client;
	double begin;

	broker_stop(broker, SIGTERM);
	broker_configure("metrics: {file: " FILE_PATH ", interval: 1s}\n" EDU END);
	broker = broker_start_traced("-e trace=/^rename -e inject=/^rename:delay_enter=10s");
	client = broker_connect();
	begin = now();
	do
		ck_assert_works(vdb_client_release(client, broker_acquire(client, "edu/array", 0).id));
	while (now() - begin < 3);
	ck_assert_int_eq(access(FILE_PATH ".new", F_OK), 0);
	ck_assert_int_eq(access(FILE_PATH, F_OK), -1);
	/* The tracer lets it end when the delay is over. */
	broker_stop(broker, SIGKILL);
	broker = broker_start();
	wait_for(FILE_PATH, "vfio_dmabuf_grants 1\n");
	vdb_client_close(client);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("status");
	TCase *tc = add_group(s, "status");

	tcase_add_checked_fixture(tc, start_broker, stop_broker);
	tcase_add_test(tc, status_of_what_is_lent);
	tcase_add_test(tc, status_for_other_users);
	tcase_add_test(tc, status_without_a_broker);
	tcase_add_test(tc, device_that_is_missing);

	tc = add_group(s, "reload");
	tcase_add_checked_fixture(tc, start_broker, stop_broker);
	tcase_add_test(tc, reload_is_accepted);
	tcase_add_test(tc, reload_is_rejected);
	tcase_add_test(tc, reload_is_for_administrators);

	tc = add_group(s, "metrics");
	tcase_add_checked_fixture(tc, start_broker, stop_broker);
	tcase_add_test(tc, metrics_go_where_the_configuration_says);
	tcase_add_test(tc, metrics_that_cannot_be_written);
	tcase_add_test(tc, metrics_on_a_slow_disk_hold_up_nobody);
	return s;
}
