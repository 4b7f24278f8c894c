// SPDX-License-Identifier: MIT
/* Messages about leases that come twice, out of order, or about unknown leases. */
#include <errno.h>

#include "broken_broker.h"

static void twice_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, renew;

	say_waiting(fd, serial, 5);
	say_waiting(fd, serial, 5);
	say_grant(fd, serial, 5);
	renew = ask_renew(fd);
	say_grant(fd, serial, 5);
	say_waiting(fd, serial, 5);
	say_state(fd, serial, 5, VDP_STATE_LIVE);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_end(fd, serial, 5, 0, VDP_END_EXPIRED);
	say_end(fd, serial, 5, 0, VDP_END_REVOKED);
	say_state(fd, serial, 5, VDP_STATE_LIVE);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_end(fd, serial, 5, 0, VDP_END_REVOKED);
	say_renewed(fd, renew, 7);
}

START_TEST(what_comes_twice_is_dropped)
{
	struct vdb_event event;
	struct vdb_lease lease;
	int fds;

	connect_to(twice_script);
	fds = count_fds();
	ck_assert_works(acquire(1000, &lease));
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds + 2);
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.state, VDB_STATE_SUSPENDED);
	nothing_to_report();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.state, VDB_STATE_REVOKED);
	ck_assert_int_eq(event.end, VDB_END_EXPIRED);
	connection_works();
	nothing_to_report();
	vdb_slice_free(lease.slice);
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void out_of_order_script(int fd)
{
	uint64_t first = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t second = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t third = ask(fd, VDP_ACQUIRE).header.serial;

	uint64_t renew = ask_renew(fd);

	must(first < second && second < third);
	say_error(fd, third, VDP_ERROR_BUSY);
	say_grant(fd, second, 6);
	say_state(fd, second, 6, VDP_STATE_SUSPENDED);
	say_grant(fd, first, 5);
	say_renewed(fd, renew, 7);
}

/* Each request gets its own outcome, in any order. */
START_TEST(answers_out_of_order)
{
	uint64_t requests[3];
	struct vdb_event event;
	int fds;

	connect_to(out_of_order_script);
	fds = count_fds();
	for (int i = 0; i < 3; i++)
		requests[i] = acquire_start();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_GRANTED);
	ck_assert_uint_eq(event.request, requests[0]);
	ck_assert_uint_eq(event.lease, 5);
	vdb_slice_free(event.slice);
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_GRANTED);
	ck_assert_uint_eq(event.request, requests[1]);
	ck_assert_uint_eq(event.lease, 6);
	vdb_slice_free(event.slice);
	/* The caller knows the lease only from here on. */
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_STATE);
	ck_assert_uint_eq(event.lease, 6);
	ck_assert_int_eq(event.state, VDB_STATE_SUSPENDED);
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_REFUSED);
	ck_assert_uint_eq(event.request, requests[2]);
	ck_assert_int_eq(event.error, EBUSY);
	ck_assert_str_eq(vdb_client_error(client), "because");
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void unknown_script(int fd)
{
	uint64_t renew = ask_renew(fd);

	switch (variant) {
	case 0:
		say_state(fd, NOT_ASKED, 9, VDP_STATE_LIVE);
		break;
	case 1:
		say_grant(fd, NOT_ASKED, 9);
		break;
	case 2:
		say_waiting(fd, NOT_ASKED, 9);
		break;
	}
	say_renewed(fd, renew, 7);
	expect_release(fd, 9);
	renew = ask_renew(fd);
	/* The same message again, before the broker has read the release. */
	say_state(fd, NOT_ASKED, 9, VDP_STATE_SUSPENDED);
	say_grant(fd, NOT_ASKED, 9);
	say_end(fd, NOT_ASKED, 9, 0, VDP_END_RELEASED);
	/* An end needs no release, known or not. */
	say_end(fd, 0, 10, 0, VDP_END_REVOKED);
	say_renewed(fd, renew, 7);
	/* Once forgotten, it is unknown again. */
	for (int i = 0; i < 2; i++) {
		renew = ask_renew(fd);
		say_state(fd, NOT_ASKED, 9, VDP_STATE_LIVE);
		say_renewed(fd, renew, 7);
		say_error(fd, ask(fd, VDP_RELEASE).header.serial, VDP_ERROR_NO_LEASE);
	}
	answer_renew(fd);
}

/* As after a restart of the broker, which does not know what the former process has sent. */
START_TEST(leases_that_are_not_known_are_released)
{
	int fds;

	variant = _i;
	connect_to(unknown_script);
	fds = count_fds();
	for (int i = 0; i < 5; i++)
		connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void second_lease_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, renew = ask_renew(fd);

	if (variant)
		say_waiting(fd, serial, 5);
	else
		say_error(fd, serial, VDP_ERROR_BUSY);
	say_grant(fd, serial, 6);
	say_renewed(fd, renew, 7);
	expect_release(fd, 6);
	if (variant)
		say_end(fd, serial, 5, 0, VDP_END_BUSY);
	answer_renew(fd);
}

/* A request has one lease, and one outcome. */
START_TEST(second_lease_of_a_request)
{
	struct vdb_event event;
	uint64_t request;
	int fds;

	variant = _i;
	connect_to(second_lease_script);
	fds = count_fds();
	request = acquire_start();
	connection_works();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_REFUSED);
	ck_assert_uint_eq(event.request, request);
	ck_assert_int_eq(event.error, EBUSY);
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void lost_grant_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	say_state(fd, serial, 5, VDP_STATE_LIVE);
	expect_release(fd, 5);
	serial = ask(fd, VDP_ACQUIRE).header.serial;
	say_state(fd, serial - 2, 5, VDP_STATE_LIVE);
	say_end(fd, serial - 2, 5, 0, VDP_END_RELEASED);
	say_grant(fd, serial, 6);
}

/* The broker was killed after it had saved the grant, and before it sent it. */
START_TEST(grant_that_was_lost)
{
	struct vdb_lease lease;

	connect_to(lost_grant_script);
	ck_assert_fails(acquire(0, &lease), EAGAIN);
	ck_assert_works(acquire(0, &lease));
	ck_assert_uint_eq(lease.id, 6);
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

static void lost_twice_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, renew = ask_renew(fd);

	say_state(fd, serial, 5, VDP_STATE_LIVE);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_renewed(fd, renew, 7);
	expect_release(fd, 5);
	answer_renew(fd);
}

/* The second one comes before the first is reported to the caller. */
START_TEST(grant_that_was_lost_is_refused_once)
{
	struct vdb_event event;

	connect_to(lost_twice_script);
	acquire_start();
	connection_works();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_REFUSED);
	ck_assert_int_eq(event.error, EAGAIN);
	nothing_to_report();
	done();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_broken_group(s, "leases");

	tcase_add_test(tc, what_comes_twice_is_dropped);
	tcase_add_test(tc, answers_out_of_order);
	tcase_add_loop_test(tc, leases_that_are_not_known_are_released, 0, 3);
	tcase_add_loop_test(tc, second_lease_of_a_request, 0, 2);
	tcase_add_test(tc, grant_that_was_lost);
	tcase_add_test(tc, grant_that_was_lost_is_refused_once);
	return s;
}
