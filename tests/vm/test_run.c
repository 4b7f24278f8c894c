// SPDX-License-Identifier: MIT
/* Programs that are run with slices. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "command.h"
#include "manager.h"
#include "suite.h"
#include "sysfs.h"

#define S	"-S " MANAGER_SOCKET
#define FIFO	"/tmp/run.fifo"
#define PROGRAM	"/tmp/run.pid"
#define OUTPUT	"/tmp/run.out"

static const char config[] =
	"devices: {edu: {function: @EDU@, reset: never, slices: {\n"
	"  page: {length: @PAGE@, allow: everybody},\n"
	"  short: {length: @PAGE@, offset: @4PAGE@, max_time: 2s, allow: everybody},\n"
	"  queue: {length: @PAGE@, offset: @16PAGE@, memory: 64K, allow: everybody},\n"
	"  array: {length: @PAGE@, offset: @8PAGE@, count: 8, allow: everybody}}}}\n";
static pid_t broker;

static void start_broker(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

static void stop_broker(void)
{
	broker_stop(broker, SIGKILL);
}

START_TEST(slices_are_passed)
{
	/* A shell cannot call mmap(). It sees the fds and the environment. */
	ck_assert_runs("run " S " -s edu/page -s 'edu/array[5],ro' -- sh -c "
		       "'readlink /proc/self/fd/3; readlink /proc/self/fd/5; ls /proc/self/fd | wc -l; "
		       "echo $VFIO_DMABUF_FDS $VFIO_DMABUF_SLICES'");
	check_says("/dmabuf:");
	check_says("4 [{");
	check_says("\"name\":\"edu/array\",\"index\":5,\"fd\":5,\"event_fd\":6");
	check_says("\"read_only\":true");
	/* The lease lasts as long as the program. */
	ck_assert_runs("run " S " -s edu/page -- /usr/bin/vfio-dmabuf leases " S);
	check_says("edu/page[0]");
	ck_assert_runs("leases " S);
	check_says_not("edu/page");
}
END_TEST

START_TEST(environment_is_json)
{
	json_t *list, *one;
	int fd, index;

	ck_assert_runs("run " S " -s edu/page -s 'edu/array[5],ro' -- sh -c 'echo \"$VFIO_DMABUF_SLICES\"'");
	list = command_json("VFIO_DMABUF_SLICES", command_out);
	ck_assert_uint_eq(json_array_size(list), 2);
	one = json_array_get(list, 1);
	ck_assert_int_eq(json_unpack(one, "{s:i,s:i}", "index", &index, "fd", &fd), 0);
	ck_assert_int_eq(index, 5);
	ck_assert_int_eq(fd, 5);
	ck_assert_uint_eq(json_object_size(one), 12);
	ck_assert(json_is_null(json_object_get(one, "memory")));
	ck_assert(json_is_null(json_object_get(one, "interrupt")));
}
END_TEST

/* Its fd comes after those of all slices. */
START_TEST(memory_is_passed)
{
	json_t *list, *memory;
	json_int_t iova, length;
	int fd;

	ck_assert_runs("run " S " -s edu/queue -s edu/page -- sh -c 'echo \"$VFIO_DMABUF_SLICES\"'");
	list = command_json("VFIO_DMABUF_SLICES", command_out);
	memory = json_object_get(json_array_get(list, 0), "memory");
	ck_assert_int_eq(json_unpack(memory, "{s:i,s:I,s:I}", "fd", &fd, "iova", &iova, "length", &length), 0);
	ck_assert_int_eq(fd, 7);
	ck_assert_int_ne(iova, 0);
	ck_assert_int_eq(length, 65536);
	ck_assert(json_is_null(json_object_get(json_array_get(list, 1), "memory")));
	ck_assert_runs("run " S " -s edu/queue -s edu/page -- sh -c 'echo $VFIO_DMABUF_FDS; stat -L -c %%s /proc/self/fd/7'");
	ck_assert_str_eq(command_out, "5\n65536\n");
}
END_TEST

START_TEST(exit_statuses)
{
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- sh -c 'exit 7'"), 7);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- sh -c 'kill -TERM $$'"), 128 + SIGTERM);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- /nowhere/at/all"), 127);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- /etc/passwd"), 126);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/nothing -- true"), 1);
	check_says("there is no slice \"edu/nothing\"");
}
END_TEST

/*
 * With few free fds the slices are still passed. If there are not enough, the program
 * is not run.
 */
START_TEST(few_file_descriptors)
{
	bool told = false;

	ck_assert_int_eq(shell("ulimit -n 24; vfio-dmabuf run " S " -s edu/page -- readlink /proc/self/fd/3"), 0);
	check_says("/dmabuf:");
	for (int i = 9; i < 16; i++) {
		int status = shell("ulimit -n %d; vfio-dmabuf run " S " -s edu/page -- readlink /proc/self/fd/3", i);

		if (!status) {
			check_says("/dmabuf:");
		} else {
			ck_assert_int_eq(status, 1);
			check_says_not("/dmabuf:");
			told |= !!strstr(command_out, "(ulimit -n)");
		}
	}
	ck_assert(told);
}
END_TEST

static bool count_waiting(const struct vdb_slice_info *info, void *data)
{
	*(uint32_t *)data += info->waiting;
	return true;
}

/* It waits for the given time and no longer. When others release the slice, the program runs. */
START_TEST(slices_are_waited_for)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);
	uint32_t waiting = 0;
	int status;
	pid_t pid;

	ck_assert_int_eq(vfio_dmabuf("run " S " -w1 -s edu/page -- true"), 1);
	check_says("until the time to wait was over");
	pid = fork();
	if (!pid) {
		execlp("vfio-dmabuf", "vfio-dmabuf", "run", "-S", MANAGER_SOCKET, _i ? "--wait" : "--wait=1m",
		       "-s", "edu/page", "--", "sh", "-c", "exit 7", NULL);
		_exit(99);
	}
	while (!waiting) {
		usleep(10000);
		ck_assert_works(vdb_client_slices(client, count_waiting, &waiting));
	}
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

START_TEST(time_ends)
{
	/* The broker revokes the lease and then notifies. The program runs until that. */
	ck_assert_runs("run " S " -t 1 -s edu/page -- sh -c "
		       "'while vfio-dmabuf leases " S " | grep edu/page; do sleep 0.1; done; sleep 1'");
	check_says("edu/page: the lease has ended: its time is over");
	ck_assert_int_eq(vfio_dmabuf("run " S " -t 3 -s edu/short -- true"), 1);
	check_says("or 3 s do not fit \"edu/short\"");
}
END_TEST

/* The lease is renewed until the program ends, also if the slice allows only short leases. */
START_TEST(leases_are_renewed)
{
	ck_assert_runs("run " S " -s edu/short -s edu/page -- sh -c 'sleep 6; vfio-dmabuf leases " S "'");
	check_says("edu/short[0]");
	check_says_not("ended");
}
END_TEST

START_TEST(signals_are_passed_on)
{
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- sh -c "
				     "'trap \"exit 9\" USR1; kill -USR1 $PPID; while :; do sleep 0.1; done'"), 9);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- sh -c "
				     "'trap \"exit 8\" INT; kill -INT $PPID; while :; do sleep 0.1; done'"), 8);
}
END_TEST

/* The terminal has given it to the program already. */
START_TEST(interrupt_of_a_terminal_comes_once)
{
	int terminal;
	pid_t pid = terminal_open(&terminal);

	/* Under strace a sanitizer cannot look for leaks. */
	terminal_type(terminal, "ASAN_OPTIONS=detect_leaks=0 exec strace -e trace=kill -o /tmp/strace.log vfio-dmabuf run " S " -s edu/page -- "
		      "bash -c 'trap \"echo inter\"\"rupted\" INT; echo rea\"\"dy; read -t 2; read -t 2; exit 3'\n");
	terminal_expect(terminal, "ready");
	terminal_type(terminal, "\003");
	terminal_expect(terminal, "interrupted");
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(shell("cat /tmp/strace.log"), 0);
	check_says("exited with 3");
	check_says_not("kill(");
}
END_TEST

START_TEST(revocation_of_each_is_reported)
{
	ck_assert_runs("run " S " -s 'edu/array[1]' -s 'edu/array[2]' -- sh -c "
		       "'vfio-dmabuf revoke " S " $(vfio-dmabuf leases " S " | grep -o \"^[0-9]*\"); sleep 1'");
	check_says("edu/array[1]: the lease has ended: revoked");
	check_says("edu/array[2]: the lease has ended: revoked");
}
END_TEST

static bool revoke_one(const struct vdb_buffer *buffer, void *device)
{
	ck_assert_works(vdb_device_revoke_id(device, buffer->id));
	return true;
}

/* The program ends because of it before the broker reports it. */
START_TEST(revocation_is_reported_after_the_program)
{
	struct vdb_device *device;
	pid_t pid, program;
	json_int_t lease;
	char text[32];
	int fifo, status;

	unlink(FIFO);
	ck_assert_works(mkfifo(FIFO, 0600));
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exec vfio-dmabuf run " S " -s edu/page -- sh -c "
		      "'echo $$ >" PROGRAM "; read x <" FIFO "; exit 7' >" OUTPUT " 2>&1", NULL);
		_exit(99);
	}
	fifo = open(FIFO, O_WRONLY | O_CLOEXEC);
	ck_assert_works(fifo);
	ck_assert_works(file_read(PROGRAM, text, sizeof(text)));
	program = atoi(text);
	lease = json_integer_value(json_object_get(json_array_get(vfio_dmabuf_json("leases --json " S), 0), "lease"));
	ck_assert_works(kill(broker, SIGSTOP));
	device = vdb_device_from_fd(manager_fd(broker_name_of_device("EDU")));
	ck_assert_ptr_nonnull(device);
	ck_assert_works(vdb_device_list(device, revoke_one, device));
	close(fifo);
	while (!kill(program, 0))
		usleep(10000);
	ck_assert_works(kill(broker, SIGCONT));
	ck_assert_runs("revoke " S " %lld", lease);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	ck_assert_works(file_read(OUTPUT, command_out, sizeof(command_out)));
	check_says("edu/page: the lease has ended: revoked");
	vdb_device_close(device);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("run");
	TCase *tc = add_group(s, "run");

	tcase_add_checked_fixture(tc, start_broker, stop_broker);
	tcase_add_test(tc, slices_are_passed);
	tcase_add_test(tc, environment_is_json);
	tcase_add_test(tc, memory_is_passed);
	tcase_add_test(tc, exit_statuses);
	tcase_add_test(tc, few_file_descriptors);
	tcase_add_loop_test(tc, slices_are_waited_for, 0, 2);
	tcase_add_test(tc, time_ends);
	tcase_add_test(tc, leases_are_renewed);
	tcase_add_test(tc, signals_are_passed_on);
	tcase_add_test(tc, interrupt_of_a_terminal_comes_once);
	tcase_add_test(tc, revocation_of_each_is_reported);
	tcase_add_test(tc, revocation_is_reported_after_the_program);
	return s;
}
