// SPDX-License-Identifier: MIT
/*
 * Clients that die at any step, and clients that do not accept answers: the broker ends
 * their leases, and continues to serve others.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "manager.h"
#include "suite.h"

#define RW	(PROT_READ | PROT_WRITE)

static const char config[] =
	"limits: {request_rate: 10000, request_burst: 10000}\n"
	"devices: {edu: {function: @EDU@, reset: never,\n"
	"  slices: {page: {length: @PAGE@, allow: everybody}}}}\n";

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

/*
 * A client that takes no more answers has its end of the socket writable for the
 * broker for ever, and every write fails.
 */
START_TEST(client_that_takes_no_answers)
{
	const struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 2 } };
	const struct vdp_acquire acquire = {
		.header = { .type = VDP_ACQUIRE, .serial = 2 }, .name = "edu/page",
	};
	const void *request = _i ? (void *)&acquire : (void *)&list;
	size_t size = _i ? sizeof(acquire) : sizeof(list);
	int fd = raw_connect_greeted();

	ck_assert_works(shutdown(fd, SHUT_RD));
	ck_assert_int_eq(send(fd, request, size, MSG_NOSIGNAL), size);
	broker_wait_log("disconnected: it does not read, so nothing can be sent to it");
	broker_acquire(broker_connect(), "edu/page", 0);
	close(fd);
}
END_TEST

static void live(void)
{
	struct vdb_client *client = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL);
	struct vdb_lease lease;
	char *map;

	if (!client || vdb_client_acquire(client, "edu/page", 0, 0, 0, 0, &lease))
		_exit(1);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	if (!map)
		_exit(2);
	vdb_read32(map);
	if (vdb_client_release(client, lease.id) ||
	    vdb_client_acquire(client, "edu/page", 0, 0, 0, 0, &lease))
		_exit(3);
	_exit(0);
}

/* Lets a client live until its nth entry to or return from the kernel. */
static bool died_at(int nth)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		live();
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < nth; i++) {
		ck_assert_works(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			ck_assert_int_eq(WEXITSTATUS(status), 0);
			return false;
		}
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return true;
}

START_TEST(client_killed_at_every_call)
{
	struct vdb_client *survivor = broker_connect();
	int nth = 1;

	while (died_at(nth)) {
		struct vdb_lease lease = broker_acquire(survivor, "edu/page", 0);

		manager_wait_count("client-", 1);
		ck_assert_works(vdb_client_release(survivor, lease.id));
		vdb_slice_free(lease.slice);
		nth++;
	}
	ck_assert_int_gt(nth, 30);
	broker_acquire(survivor, "edu/page", 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("bad_client");
	TCase *tc = add_group(s, "answers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, client_that_takes_no_answers, 0, 2);

	tc = add_group(s, "death");
	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, client_killed_at_every_call);
	return s;
}
