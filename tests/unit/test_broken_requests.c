// SPDX-License-Identifier: MIT
/* Requests that are started and cancelled, and fds for which there is no room. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "broken_broker.h"

static void cancel_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t renew = ask_renew(fd);

	if (variant == 1)
		say_waiting(fd, serial, 5);
	if (variant == 2)
		say_grant(fd, serial, 5);
	if (variant == 3)
		say_error(fd, serial, VDP_ERROR_BUSY);
	say_renewed(fd, renew, 7);
	if (!variant) {
		renew = ask_renew(fd);
		say_grant(fd, serial, 5);
		say_renewed(fd, renew, 7);
	}
	if (variant != 3)
		expect_release(fd, 5);
	answer_renew(fd);
}

/* Before any answer; while they wait; after they are granted or refused. */
START_TEST(requests_can_be_cancelled)
{
	uint64_t request;
	int fds;

	variant = _i;
	connect_to(cancel_script);
	fds = count_fds();
	request = acquire_start();
	if (!variant)
		ck_assert_works(vdb_client_acquire_cancel(client, request));
	connection_works();
	if (variant)
		ck_assert_works(vdb_client_acquire_cancel(client, request));
	else
		connection_works();
	ck_assert_fails(vdb_client_acquire_cancel(client, request), ENOENT);
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void grant_script(int fd)
{
	say_grant(fd, ask(fd, VDP_ACQUIRE).header.serial, 5);
	answer_renew(fd);
}

START_TEST(what_is_not_fetched_is_closed)
{
	int fds = count_fds();

	connect_to(grant_script);
	acquire_start();
	connection_works();
	done();
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(what_was_fetched_is_not_cancelled)
{
	struct vdb_event event;
	uint64_t request;

	connect_to(grant_script);
	request = acquire_start();
	connection_works();
	event = next_event();
	ck_assert_fails(vdb_client_acquire_cancel(client, request), ENOENT);
	ck_assert_fails(vdb_client_acquire_cancel(client, 0), ENOENT);
	vdb_slice_free(event.slice);
	done();
}
END_TEST

static void deaf_script(int fd)
{
	sigset_t set;
	int number;

	/* It reads on request. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	say_state(fd, NOT_ASKED, 9, VDP_STATE_LIVE);
	must(!sigwait(&set, &number));
	for (;;) {
		union message_to_broker request;

		must(recv(fd, request.bytes, sizeof(request), 0) > 0);
		if (request.header.type != VDP_RELEASE)
			continue;
		must(request.lease.lease == 9);
		break;
	}
	answer_renew(fd);
}

/*
 * A broker that does not read: no call blocks, and outstanding releases are sent when
 * there is room.
 */
START_TEST(broker_that_does_not_read)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t request, last = 0;
	struct vdb_lease lease;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	connect_to(deaf_script);
	while (!vdb_client_acquire_start(client, "a/b", 0, 0, 0, 1000, &request)) {
		ck_assert_uint_gt(request, last);
		last = request;
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_gt(last, 10);
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_fails(acquire(0, &lease), ETIMEDOUT);
	/* The release of a lease that is not known has no room. */
	nothing_to_report();
	p.fd = vdb_client_fd(client);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	kill(broker, SIGUSR1);
	ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
	nothing_to_report();
	connection_works();
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	done();
}
END_TEST

/* ---- fds ---- */

/* Limits this process to this number of further fds; -1: restores the limit. */
static void room_for(int fds)
{
	static struct rlimit before;
	struct rlimit limit;
	int next = dup(file);

	close(next);
	if (!before.rlim_max)
		ck_assert_works(getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	if (fds >= 0)
		limit.rlim_cur = next + fds;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
}

static void no_room_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t release;

	say_grant(fd, serial, 5);
	release = ask(fd, VDP_RELEASE).header.serial;
	if (variant < 2)
		say_end(fd, serial, 5, release, VDP_END_RELEASED);
	else
		say_error(fd, release, VDP_ERROR_NO_LEASE);
	answer_renew(fd);
}

/* The lease is released, unless it has ended already, and the connection continues. */
START_TEST(fds_that_cannot_be_opened)
{
	struct vdb_lease lease;
	int fds;

	variant = _i;
	connect_to(no_room_script);
	fds = count_fds();
	room_for(_i % 2);
	ck_assert_fails(acquire(0, &lease), EMFILE);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "no room for the open files"));
	room_for(-1);
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void wrong_fds_script(int fd)
{
	struct vdp_renew_answer m = {
		.header = { .type = VDP_RENEW | VDP_ANSWER, .serial = ask(fd, VDP_RENEW).header.serial },
	};

	say(fd, &m, sizeof(m), 2);
}

START_TEST(fds_that_do_not_belong_and_cannot_be_opened)
{
	connect_to(wrong_fds_script);
	room_for(0);
	ck_assert_fails(vdb_client_renew(client, 7, 0), EPROTO);
	check_ended();
	room_for(-1);
	done();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_broken_group(s, "leases");

	tcase_add_loop_test(tc, requests_can_be_cancelled, 0, 4);
	tcase_add_test(tc, what_is_not_fetched_is_closed);
	tcase_add_test(tc, what_was_fetched_is_not_cancelled);
	tcase_add_test(tc, broker_that_does_not_read);
	tcase_add_loop_test(tc, fds_that_cannot_be_opened, 0, 3);
	tcase_add_test(tc, fds_that_do_not_belong_and_cannot_be_opened);
	return s;
}
