// SPDX-License-Identifier: MIT
/* The bytes and fds on the broker's connections. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "common/fds.h"
#include "crash.h"
#include "lender.h"
#include "manager.h"
#include "suite.h"

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

/*
 * Waits until the broker has at most this number, as long as the test allows. The broker
 * closes connections one after the other, and can still be closing those of a former
 * test.
 */
static void wait_fds(unsigned int nr)
{
	while (count_fds(lender) > nr)
		usleep(10000);
}

START_TEST(silent_connections_are_closed)
{
	int silent = raw_connect(), greeted = raw_connect_greeted();
	struct pollfd p = { .fd = greeted, .events = POLLIN };
	char byte;

	ck_assert_int_eq(recv(silent, &byte, 1, 0), 0);
	ck_assert(broker_logged("disconnected: it did not say hello"));
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	close(silent);
	close(greeted);
}
END_TEST

/* A client that only connects costs the log and the service manager next to nothing. */
START_TEST(connections_alone_cost_little)
{
	struct vdb_client *client = broker_connect();
	unsigned int before, fds;
	int accepted[4];

	broker_wait_open(client);
	before = manager_messages();
	fds = count_fds(lender);
	/* Most of these are closed before they are accepted, and these are not. */
	for (int i = 0; i < 50; i++)
		close(raw_connect());
	for (int i = 0; i < 8; i++) {
		for (int j = 0; j < 4; j++)
			accepted[j] = raw_connect();
		while (count_fds(lender) < fds + 4)
			usleep(1000);
		for (int j = 0; j < 4; j++)
			close(accepted[j]);
		wait_fds(fds);
	}
	/* Its hello is read when all those before it are accepted. */
	vdb_client_close(broker_connect());
	broker_acquire(client, "edu/page", 0);
	wait_fds(fds);
	/* It had one, which was taken out. */
	ck_assert_uint_le(manager_messages() - before, 5);
	ck_assert_uint_ge(broker_count_lines("it has closed the connection"), 5);
	ck_assert_uint_le(broker_count_lines(" disconnected: "), 10);
}
END_TEST

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
	struct vdp_renew renew = {
		.header = { .type = VDP_RENEW, .serial = 9 }, .reserved = 1,
	};
	size_t size = sizeof(request);
	char answer[VDP_MAX_MESSAGE], big[1000] = { 0 };
	const void *data = &request;
	int fd = raw_connect_greeted();

	switch (_i) {
	case 0: size--; break;
	case 1: size = 1; break;
	case 2: request.header.serial = 0; break;
	case 3: request.header.item = 1; break;
	case 4: data = &renew; size = sizeof(renew); break;
	case 5: memset(request.name, 'x', sizeof(request.name)); break;
	case 6: request.name[20] = 'x'; break;
	case 7: memcpy(big, &request, size); data = big; size = sizeof(big); break;
	case 8: memcpy(big, &request, size); data = big; big[size++] = 1; break;
	}
	ck_assert_int_eq(error_of(answer, raw_ask(fd, data, size, answer)), VDP_ERROR_MALFORMED);
	check_closed(fd);
	broker_wait_log("disconnected: it does not keep to the protocol");
	broker_acquire(broker_connect(), "edu/page", 0);
}
END_TEST

START_TEST(hello_comes_first)
{
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 5 } };
	struct vdp_hello hello = {
		.header = { .type = VDP_HELLO, .serial = 1 },
		.min_version = VDP_VERSION + 1, .max_version = 9,
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
	ck_assert_uint_eq(((struct vdp_hello_answer *)answer)->version, VDP_VERSION);
	list.header.type = 77;
	ck_assert_int_eq(error_of(answer, raw_ask(fd, &list, sizeof(list), answer)), VDP_ERROR_UNKNOWN);
	ck_assert_int_eq(error_of(answer, raw_ask(fd, &hello, sizeof(hello) - 1, answer)), VDP_ERROR_MALFORMED);
	check_closed(fd);
}
END_TEST

/* In another language, without our library: docs/protocol.md is enough for that. */
START_TEST(client_in_python)
{
	int status = system("python3 /lab/client.py " MANAGER_SOCKET " edu/page 0x010000ed 1>&2");

	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(fds_in_requests_are_not_taken)
{
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 5 } };
	int other = raw_connect_greeted(), fd, pipes[2];
	char answer[VDP_MAX_MESSAGE];
	unsigned int before;

	/* These need fds, too. */
	manager_wait_status("3 of 3 devices are open");
	before = count_fds(lender);
	fd = raw_connect_greeted();
	ck_assert_works(pipe(pipes));
	ck_assert_works(fds_send(fd, &list, sizeof(list), &pipes[1], 1, 0));
	ck_assert_int_eq(error_of(answer, recv(fd, answer, sizeof(answer), 0)), VDP_ERROR_MALFORMED);
	check_closed(fd);
	close(pipes[1]);
	/* No process has the other end. */
	ck_assert_int_eq(read(pipes[0], answer, 1), 0);
	wait_fds(before);
	close(other);
}
END_TEST

/*
 * A client that sends requests and never reads: others are served, no fds are leaked,
 * and when it finally reads it gets every answer. test_siege measures the memory.
 */
START_TEST(slow_reader_holds_up_nobody)
{
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES } };
	struct vdb_client *client = broker_connect();
	unsigned int asked = 0, done = 0;
	char answer[VDP_MAX_MESSAGE];
	int fd = raw_connect_greeted();
	struct vdb_lease lease;
	unsigned int fds;

	broker_wait_open(client);
	lease = broker_acquire(client, "edu/page", 0);
	ck_assert_works(vdb_client_release(client, lease.id));
	fds = count_fds(lender);
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
	ck_assert_uint_eq(count_fds(lender), fds);
	while (done < asked) {
		const struct vdp_header *header = (void *)answer;

		ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
		if (header->type == (VDP_LIST_SLICES | VDP_ANSWER))
			ck_assert_uint_eq(header->serial, ++done);
	}
}
END_TEST

static const char one_device[] =
	"devices: {edu: {function: @EDU@, reset: never,\n"
	"  slices: {array: {length: @PAGE@, count: 8, allow: everybody}}}}\n";

/* The kernel can have no room for fds in flight for a moment. No client loses anything. */
START_TEST(slice_that_cannot_be_sent)
{
	struct vdb_client *client;
	char options[128];
	int nth;

	broker_stop(lender, SIGTERM);
	manager_forget("");
	broker_configure(one_device);
	nth = crash_find_answer("sendmsg", "edu/array");
	manager_forget("");
	snprintf(options, sizeof(options), "-e trace=sendmsg -e inject=sendmsg:error=ETOOMANYREFS:when=%d", nth);
	unlink(BROKER_LOG);
	lender = broker_start_traced(options);
	broker_wait_log("is open");
	client = broker_connect();
	ck_assert_int_eq(broker_acquire_error(client, "edu/array", 0, 0, 0), ETOOMANYREFS);
	broker_acquire(client, "edu/array", 0);
	broker_stop(lender, SIGKILL);
	lender = broker_start();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("wire");
	TCase *tc = add_group(s, "connections");

	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, silent_connections_are_closed);
	tcase_add_test(tc, connections_alone_cost_little);
	tcase_add_test(tc, slow_reader_holds_up_nobody);

	tc = add_group(s, "protocol");
	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_loop_test(tc, malformed_messages_end_the_connection, 0, 9);
	tcase_add_test(tc, hello_comes_first);
	tcase_add_test(tc, client_in_python);
	tcase_add_test(tc, fds_in_requests_are_not_taken);
	tcase_add_test(tc, slice_that_cannot_be_sent);
	return s;
}
