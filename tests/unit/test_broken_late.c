// SPDX-License-Identifier: MIT
/* Answers that come late, or never. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "broken_broker.h"

static void late_script(int fd)
{
	uint64_t renew = ask(fd, VDP_RENEW).header.serial;
	uint64_t release = ask(fd, VDP_RELEASE).header.serial;
	uint64_t revoke = ask(fd, VDP_REVOKE).header.serial;
	uint64_t slices = ask(fd, VDP_LIST_SLICES).header.serial;
	uint64_t status = ask(fd, VDP_STATUS).header.serial;
	struct vdp_status_answer m = { .header = { .type = VDP_STATUS | VDP_ANSWER, .serial = status } };
	union message_to_broker last = ask(fd, VDP_RENEW);

	/* Backwards, and each twice. */
	for (int i = 0; i < 2; i++) {
		say(fd, &m, sizeof(m), 0);
		say_slice(fd, slices, 0, "a/b");
		say_plain(fd, slices, VDP_LIST_SLICES | VDP_ANSWER);
		say_end(fd, 0, 99, revoke, VDP_END_REVOKED);
		say_error(fd, release, VDP_ERROR_NO_LEASE);
		say_renewed(fd, renew, 3);
	}
	say_renewed(fd, last.header.serial, 7);
}

/* No call lasts longer than its time limit, and no late answer is treated as another one. */
START_TEST(requests_that_are_answered_late)
{
	struct vdb_status status;
	int slices = 0, fds;

	connect_to(late_script);
	fds = count_fds();
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_str_ne(vdb_client_error(client), "");
	ck_assert_fails(vdb_client_release(client, 1), ETIMEDOUT);
	ck_assert_fails(vdb_client_revoke(client, 99), ETIMEDOUT);
	ck_assert_fails(vdb_client_slices(client, ignore_slice, &slices), ETIMEDOUT);
	vdb_client_set_timeout(client, 0);
	ck_assert_fails(vdb_client_status(client, &status), ETIMEDOUT);
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(slices, 0);
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void late_grant_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	/* The client has given up by then. */
	uint64_t renew = ask_renew(fd);

	if (variant)
		say_waiting(fd, serial, 5);
	say_grant(fd, serial, 5);
	say_renewed(fd, renew, 7);
	expect_release(fd, 5);
	/* It is not released twice either. */
	renew = ask_renew(fd);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_end(fd, serial, 5, 0, VDP_END_RELEASED);
	say_renewed(fd, renew, 7);
	answer_renew(fd);
}

START_TEST(slice_that_is_granted_late)
{
	struct vdb_lease lease = { .id = 99 };
	int fds;

	variant = _i;
	connect_to(late_grant_script);
	fds = count_fds();
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(acquire(SHORT_MS, &lease), ETIMEDOUT);
	ck_assert_uint_eq(lease.id, 99);
	for (int i = 0; i < 3; i++)
		connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void waits_too_long_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	uint64_t renew;

	say_waiting(fd, serial, 5);
	expect_release(fd, 5);
	renew = ask_renew(fd);
	/* It crosses the release. */
	say_grant(fd, serial, 5);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_end(fd, serial, 5, 0, VDP_END_RELEASED);
	say_renewed(fd, renew, 7);
}

/* The broker does not notice that the time to wait is over. The client withdraws the request. */
START_TEST(slice_that_is_waited_for_too_long)
{
	struct vdb_lease lease;
	int fds;

	connect_to(waits_too_long_script);
	fds = count_fds();
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(acquire(SHORT_MS, &lease), ETIMEDOUT);
	connection_works();
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void late_end_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, release;

	say_grant(fd, serial, 5);
	release = ask(fd, VDP_RELEASE).header.serial;
	answer_renew(fd);
	say_end(fd, serial, 5, release, VDP_END_RELEASED);
}

START_TEST(release_that_is_answered_late)
{
	struct vdb_lease lease;
	struct vdb_event event;

	connect_to(late_end_script);
	ck_assert_works(acquire(0, &lease));
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_release(client, lease.id), ETIMEDOUT);
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_STATE);
	ck_assert_uint_eq(event.lease, 5);
	ck_assert_int_eq(event.state, VDB_STATE_REVOKED);
	ck_assert_int_eq(event.end, VDB_END_RELEASED);
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

static void on_alarm(int number)
{
	(void)number;
}

/* Continuous signals do not make a call last longer. */
START_TEST(signals_do_not_prolong)
{
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	struct sigaction action = { .sa_handler = on_alarm };

	connect_to(NULL);
	ck_assert_works(sigaction(SIGALRM, &action, NULL));
	ck_assert_works(setitimer(ITIMER_REAL, &often, NULL));
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_ptr_null(vdb_client_connect(path, SHORT_MS, NULL));
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_works(setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL));
	done();
}
END_TEST

static void flood_script(int fd)
{
	struct vdp_state m = { .header = { .type = VDP_STATE, .serial = 77 }, .lease = 5 };

	for (uint32_t i = 0; ; i++) {
		m.state = i % 2;
		if (send(fd, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
			_exit(0);
	}
}

START_TEST(messages_without_end)
{
	struct vdb_event event;
	struct vdb_lease lease;

	connect_to(flood_script);
	always_a_message = true;
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_fails(acquire(0, &lease), ETIMEDOUT);
	ck_assert_int_eq(vdb_client_next(client, &event), 0);
	done();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_broken_group(s, "late");

	tcase_add_test(tc, requests_that_are_answered_late);
	tcase_add_loop_test(tc, slice_that_is_granted_late, 0, 2);
	tcase_add_test(tc, slice_that_is_waited_for_too_long);
	tcase_add_test(tc, release_that_is_answered_late);
	tcase_add_test(tc, signals_do_not_prolong);
	tcase_add_test(tc, messages_without_end);
	return s;
}
