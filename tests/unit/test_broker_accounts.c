// SPDX-License-Identifier: MIT
/*
 * What connections may do next, step by step: each test is a number of flows without
 * sockets, a time that the test sets, and the steps that they must take.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "peer_user.h"
#include "subid.h"
#include "suite.h"

#define SEC	1000000ULL

static struct flows flows;
static struct flow flow[20];
static uint64_t now;

static void setup(void)
{
	now = 1000 * SEC;
	flows_init(&flows, &flow_defaults);
}

static void teardown(void)
{
	flows_free(&flows);
}

static void flow_start(int i, uint64_t user)
{
	ck_assert_int_eq(flow_open(&flows, &flow[i], user, now), 0);
}

/* Whether this one is the next to be looked at. */
static void ready(int i)
{
	ck_assert_ptr_eq(flows_next_ready(&flows), i < 0 ? NULL : &flow[i]);
}

static void step(int i, enum flow_step step)
{
	ck_assert_int_eq(flow_next(&flows, &flow[i], now), step);
}

/* A request that is answered at once. */
static void serve(int i)
{
	flow_asked(&flows, &flow[i]);
	ready(i);
	step(i, FLOW_RECEIVE);
	flow_answered(&flow[i]);
	flow_received(&flows, &flow[i], true, now);
	step(i, FLOW_AWAIT_REQUEST);
}

static void grant(int i)
{
	flow_put_in_hand(&flows, &flow[i], 2);
	ready(i);
	step(i, FLOW_SEND);
	flow_sent(&flow[i], true);
	step(i, FLOW_AWAIT_REQUEST);
}

/* The client has read something, and so much is left. */
static void has_read(int i, uint32_t left)
{
	flow_has_read(&flows, &flow[i]);
	ready(i);
	step(i, FLOW_MEASURE);
	flow_measured(&flows, &flow[i], left);
}

/* ---- rates ---- */

START_TEST(bucket_empties_and_fills)
{
	const struct bucket_limit limit = { 3, 10 };
	struct bucket bucket = { 0 };

	for (int i = 0; i < 3; i++)
		ck_assert(bucket_take(&bucket, &limit, 100));
	ck_assert(!bucket_take(&bucket, &limit, 100));
	ck_assert_uint_eq(bucket_wait(&bucket, &limit, 100), 10);
	ck_assert_uint_eq(bucket_wait(&bucket, &limit, 104), 6);
	ck_assert(!bucket_take(&bucket, &limit, 109));
	ck_assert(bucket_take(&bucket, &limit, 110));
	ck_assert(!bucket_take(&bucket, &limit, 110));
	/* After any pause, no more fit into it. */
	for (int i = 0; i < 3; i++)
		ck_assert(bucket_take(&bucket, &limit, 100000));
	ck_assert(!bucket_take(&bucket, &limit, 100000));
}
END_TEST

START_TEST(no_limit_never_waits)
{
	const struct bucket_limit limit = { 0 };
	struct bucket bucket = { 0 };

	for (int i = 0; i < 1000; i++)
		ck_assert(bucket_take(&bucket, &limit, 100));
}
END_TEST

/* ---- one connection ---- */

START_TEST(reader_is_measured_when_it_matters)
{
	flow_start(0, 1);
	serve(0);
	serve(0);
	/* Two messages: a third might not fit. */
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 2 * 1280);
	step(0, FLOW_AWAIT_READER);
	ready(-1);
	has_read(0, 1280);
	step(0, FLOW_RECEIVE);
	/* An answer that was sent is not known to be read. */
	flow_answered(&flow[0]);
	flow_received(&flows, &flow[0], true, now);
	ck_assert(!flow_has_room(&flow[0]));
	flow_close(&flows, &flow[0], now);
}
END_TEST

START_TEST(bytes_of_a_message_being_freed_are_none)
{
	flow_start(0, 1);
	grant(0);
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 1);
	step(0, FLOW_RECEIVE);
	ck_assert_uint_eq(flow[0].fds, 0);
	ck_assert_uint_eq(flow[0].unread, 0);
	flow_close(&flows, &flow[0], now);
}
END_TEST

/* A client is sent what is in hand before it is read from. */
START_TEST(messages_come_before_requests)
{
	flow_start(0, 1);
	flow_put_in_hand(&flows, &flow[0], 0);
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_SEND);
	flow_sent(&flow[0], true);
	step(0, FLOW_RECEIVE);
	flow_answered(&flow[0]);
	flow_received(&flows, &flow[0], true, now);
	flow_put_in_hand(&flows, &flow[0], 0);
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 2 * 1280);
	step(0, FLOW_AWAIT_READER);
	has_read(0, 0);
	step(0, FLOW_SEND);
	flow_close(&flows, &flow[0], now);
}
END_TEST

START_TEST(client_reads_its_fds_first)
{
	flow_start(0, 1);
	grant(0);
	ck_assert_uint_eq(flow[0].account->fds, 2);
	/* Bytes are not the limit: there is room for another message. */
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 768);
	step(0, FLOW_AWAIT_READER);
	flow_put_in_hand(&flows, &flow[0], 2);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 768);
	step(0, FLOW_AWAIT_READER);
	has_read(0, 0);
	ck_assert_uint_eq(flow[0].account->fds, 0);
	step(0, FLOW_SEND);
	flow_sent(&flow[0], false);
	ck_assert_uint_eq(flow[0].account->fds, 0);
	step(0, FLOW_RECEIVE);
	flow_close(&flows, &flow[0], now);
}
END_TEST

START_TEST(dropped_one_stays_until_all_is_read)
{
	struct flow_account *account;

	flow_start(0, 1);
	account = flow[0].account;
	grant(0);
	flow_put_in_hand(&flows, &flow[0], 2);
	flow_asked(&flows, &flow[0]);
	flow_drop(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 1280);
	step(0, FLOW_AWAIT_READER);
	ck_assert(!flow_has_room(&flow[0]));
	ck_assert_uint_eq(account->fds, 2);
	has_read(0, 0);
	step(0, FLOW_CLOSE);
	flow_close(&flows, &flow[0], now);
	ck_assert_uint_eq(account->fds, 0);
	ready(-1);
}
END_TEST

START_TEST(inherited_one_is_measured_first)
{
	flow_start(0, 1);
	flow_inherit(&flow[0]);
	ck_assert_uint_eq(flow[0].account->fds, 4);
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 0);
	step(0, FLOW_RECEIVE);
	ck_assert_uint_eq(flow[0].account->fds, 0);
	flow_close(&flows, &flow[0], now);
}
END_TEST

/* ---- a user's connections ---- */

START_TEST(user_has_so_many_fds_in_flight)
{
	for (int i = 0; i < 19; i++)
		flow_start(i, 1);
	flow_start(19, 2);
	for (int i = 0; i < 16; i++)
		grant(i);
	/* Other connections of the user wait. Those that could have read are measured. */
	flow_put_in_hand(&flows, &flow[16], 2);
	ready(16);
	step(16, FLOW_AWAIT_TURN);
	for (int i = 0; i < 16; i++) {
		ready(i);
		step(i, FLOW_MEASURE);
		flow_measured(&flows, &flow[i], 1280);
		step(i, FLOW_AWAIT_READER);
	}
	ready(-1);
	flow_put_in_hand(&flows, &flow[17], 2);
	ready(17);
	step(17, FLOW_AWAIT_TURN);
	while (flows_next_ready(&flows))
		;
	/* Another user does not. */
	grant(19);
	/* In order, also if the second is looked at first. */
	has_read(3, 0);
	step(17, FLOW_AWAIT_TURN);
	ready(16);
	step(16, FLOW_SEND);
	flow_sent(&flow[16], true);
	ready(17);
	step(17, FLOW_AWAIT_TURN);
	flow_drop(&flows, &flow[5]);
	ready(5);
	step(5, FLOW_MEASURE);
	flow_measured(&flows, &flow[5], 0);
	step(5, FLOW_CLOSE);
	flow_close(&flows, &flow[5], now);
	ready(17);
	step(17, FLOW_SEND);
	flow_sent(&flow[17], true);
	ck_assert_uint_eq(flow[0].account->fds, 32);
	for (int i = 0; i < 20; i++)
		if (i != 5)
			flow_close(&flows, &flow[i], now);
}
END_TEST

/* If the first one no longer needs its turn, the next one continues. */
START_TEST(line_goes_on_without_its_first)
{
	for (int i = 0; i < 18; i++)
		flow_start(i, 1);
	for (int i = 0; i < 16; i++)
		grant(i);
	for (int i = 16; i < 18; i++) {
		flow_put_in_hand(&flows, &flow[i], 2);
		while (flows_next_ready(&flows))
			;
		step(i, FLOW_AWAIT_TURN);
	}
	while (flows_next_ready(&flows))
		;
	has_read(0, 0);
	flow_drop(&flows, &flow[16]);
	ready(16);
	ready(17);
	step(17, FLOW_SEND);
	for (int i = 0; i < 18; i++)
		flow_close(&flows, &flow[i], now);
}
END_TEST

/* Reads its answer, so that only the rate counts. */
static void serve_reader(int i)
{
	serve(i);
	flow_measured(&flows, &flow[i], 0);
}

START_TEST(user_has_so_many_requests)
{
	flow_start(0, 1);
	flow_start(1, 1);
	flow_start(2, 2);
	for (int i = 0; i < 100; i++)
		serve_reader(i % 2);
	flow_asked(&flows, &flow[0]);
	flow_asked(&flows, &flow[1]);
	ready(0);
	step(0, FLOW_AWAIT_TURN);
	ready(1);
	step(1, FLOW_AWAIT_TURN);
	ck_assert_uint_eq(flows_tick(&flows, now), now + SEC / 50);
	ready(-1);
	serve(2);
	/* One at a time, in order. */
	now += SEC / 50;
	flows_tick(&flows, now);
	ready(0);
	step(1, FLOW_AWAIT_TURN);
	step(0, FLOW_RECEIVE);
	/* It has paid, also if the rest of its answers has to wait. */
	step(0, FLOW_RECEIVE);
	flow_received(&flows, &flow[0], true, now);
	ready(1);
	step(1, FLOW_AWAIT_TURN);
	ck_assert_uint_eq(flows_tick(&flows, now), now + SEC / 50);
	now += SEC / 50;
	flows_tick(&flows, now);
	ready(1);
	step(1, FLOW_RECEIVE);
	for (int i = 0; i < 3; i++)
		flow_close(&flows, &flow[i], now);
}
END_TEST

/* A client that does not read cannot use its turn: neither others nor the loop wait for it. */
START_TEST(turn_of_one_that_does_not_read)
{
	flow_start(0, 1);
	flow_start(1, 1);
	for (int i = 0; i < 100; i++)
		serve_reader(i % 2);
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_AWAIT_TURN);
	/* Meanwhile it has a message to send. */
	flow_put_in_hand(&flows, &flow[0], 2);
	ready(0);
	step(0, FLOW_SEND);
	flow_sent(&flow[0], true);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 768);
	step(0, FLOW_AWAIT_READER);
	flow_asked(&flows, &flow[1]);
	ready(1);
	step(1, FLOW_AWAIT_TURN);
	now += SEC / 50;
	flows_tick(&flows, now);
	ready(1);
	step(1, FLOW_RECEIVE);
	flow_received(&flows, &flow[1], true, now);
	/* If it was at once, the loop would never wait. */
	ck_assert_uint_gt(flows_tick(&flows, now), now);
	ready(-1);
	/* It has its turn when it has read. */
	now += 10 * SEC;
	has_read(0, 0);
	step(0, FLOW_RECEIVE);
	flow_received(&flows, &flow[0], true, now);
	for (int i = 0; i < 2; i++)
		flow_close(&flows, &flow[i], now);
}
END_TEST

/* The same if it has a message that waits for others of its user to read their fds. */
START_TEST(turn_of_one_that_waits_for_others)
{
	flows.limits.user_fds = 2;
	flow_start(0, 1);
	flow_start(1, 1);
	for (int i = 0; i < 100; i++)
		serve_reader(i % 2);
	grant(0);
	flow_asked(&flows, &flow[1]);
	ready(1);
	step(1, FLOW_AWAIT_TURN);
	flow_put_in_hand(&flows, &flow[1], 2);
	ready(1);
	step(1, FLOW_AWAIT_TURN);
	ready(0);
	step(0, FLOW_MEASURE);
	flow_measured(&flows, &flow[0], 768);
	step(0, FLOW_AWAIT_READER);
	now += SEC;
	ck_assert_uint_gt(flows_tick(&flows, now), now);
	ready(-1);
	for (int i = 0; i < 2; i++)
		flow_close(&flows, &flow[i], now);
}
END_TEST

/* A client that connects again still has used tokens. */
START_TEST(account_outlives_its_connections)
{
	uint32_t suppressed;
	uint64_t user;

	flow_start(0, 1);
	for (int i = 0; i < 100; i++)
		serve_reader(0);
	flow_close(&flows, &flow[0], now);
	ck_assert(!flows_forget(&flows, now, &user, &suppressed));
	flow_start(0, 1);
	flow_asked(&flows, &flow[0]);
	ready(0);
	step(0, FLOW_AWAIT_TURN);
	flow_close(&flows, &flow[0], now);
	now += 60 * SEC - 1;
	ck_assert(!flows_forget(&flows, now, &user, &suppressed));
	ck_assert_uint_eq(flows_tick(&flows, now), now + 1);
	now++;
	ck_assert(flows_forget(&flows, now, &user, &suppressed));
	ck_assert_uint_eq(user, 1);
	ck_assert_uint_eq(flows.accounts.nr, 0);
	ck_assert_uint_eq(flows_tick(&flows, now), UINT64_MAX);
}
END_TEST

START_TEST(accounts_of_nobody_are_limited)
{
	uint32_t suppressed;
	uint64_t user;

	for (int i = 0; i < 5000; i++) {
		flow_start(0, i);
		flow_close(&flows, &flow[0], now);
		while (flows_forget(&flows, now, &user, &suppressed))
			ck_assert_uint_eq(user, i - 1024);
	}
	ck_assert_uint_eq(flows.accounts.nr, 1024);
}
END_TEST

START_TEST(lines_of_the_log_are_limited)
{
	uint32_t suppressed, nr = 0;
	uint64_t user;

	for (int i = 0; i < 1000; i++)
		nr += flows_may_log(&flows, 1, now, &suppressed);
	ck_assert_uint_eq(nr, 10);
	/* Others are not hidden by it. */
	ck_assert(flows_may_log(&flows, 2, now, &suppressed));
	ck_assert_uint_eq(suppressed, 0);
	now += 6 * SEC;
	ck_assert(flows_may_log(&flows, 1, now, &suppressed));
	ck_assert_uint_eq(suppressed, 990);
	ck_assert(!flows_may_log(&flows, 1, now, &suppressed));
	/* The rest is not forgotten with the account. */
	now += 120 * SEC;
	ck_assert(flows_forget(&flows, now, &user, &suppressed));
	ck_assert_uint_eq(user, 1);
	ck_assert_uint_eq(suppressed, 1);
}
END_TEST

/* ---- time ---- */

START_TEST(hello_has_a_time)
{
	flow_start(0, 1);
	now += SEC;
	flow_start(1, 1);
	flow_start(2, 1);
	flow_greeted(&flows, &flow[1], now);
	/* Other requests do not count. */
	now += 5 * SEC;
	serve(0);
	ck_assert_uint_eq(flows_tick(&flows, now), now + 4 * SEC);
	ck_assert_ptr_null(flows_late(&flows, now + 4 * SEC - 1));
	now += 4 * SEC;
	ck_assert_ptr_eq(flows_late(&flows, now), &flow[0]);
	flow_drop(&flows, &flow[0]);
	ck_assert_ptr_null(flows_late(&flows, now));
	now += SEC;
	ck_assert_ptr_eq(flows_late(&flows, now), &flow[2]);
	flow_close(&flows, &flow[2], now);
	/* Idle clients have no time limit, unless it is configured. */
	ck_assert_ptr_null(flows_late(&flows, now + 1000000 * SEC));
	flow_close(&flows, &flow[1], now);
	flow_close(&flows, &flow[0], now);
}
END_TEST

START_TEST(idle_ones_have_a_time)
{
	flows.limits.idle = 100 * SEC;
	for (int i = 0; i < 2; i++) {
		flow_start(i, 1);
		flow_greeted(&flows, &flow[i], now);
	}
	now += 60 * SEC;
	serve(0);
	now += 40 * SEC;
	ck_assert_ptr_eq(flows_late(&flows, now), &flow[1]);
	flow_stays(&flows, &flow[1], now);
	ck_assert_ptr_null(flows_late(&flows, now));
	now += 60 * SEC;
	ck_assert_ptr_eq(flows_late(&flows, now), &flow[0]);
	for (int i = 0; i < 2; i++)
		flow_close(&flows, &flow[i], now);
}
END_TEST

/* ---- users ---- */

START_TEST(user_is_the_session_s_or_the_range_s)
{
	ck_assert_uint_eq(user_choose(1000, USER_NONE, USER_NONE), 1000);
	ck_assert_uint_eq(user_choose(1000, 1000, USER_NONE), 1000);
	/* Subordinate ids, and set-user-id programs, in a session. */
	ck_assert_uint_eq(user_choose(100005, 1000, USER_NONE), 1000);
	ck_assert_uint_eq(user_choose(33, 1000, USER_NONE), 1000);
	/* Outside of one. */
	ck_assert_uint_eq(user_choose(100005, USER_NONE, 1000), 1000);
	/* Root's account is root's. */
	ck_assert_uint_eq(user_choose(0, 1000, USER_NONE), 0);
	ck_assert_uint_eq(user_choose(0, USER_NONE, 1000), 0);
	ck_assert_uint_eq(user_choose(33, 0, USER_NONE), 33);
	ck_assert_uint_eq(user_choose(100005, 0, 1000), 1000);
}
END_TEST

static FILE *text(const char *content)
{
	FILE *file = fmemopen((void *)content, strlen(content), "r");

	ck_assert_ptr_nonnull(file);
	return file;
}

static void read_subids(struct subids *subids, const char *ranges)
{
	FILE *file = text(ranges);
	FILE *users = text("root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/:/bin/sh\n"
			   "ben:x:1001:1001::/:/bin/sh\n");

	ck_assert_int_eq(subids_read(subids, file, users), 0);
	fclose(file);
	fclose(users);
}

START_TEST(subordinate_ids_have_a_user)
{
	struct subids subids = { 0 };

	read_subids(&subids, "ben:165536:65536\nanna:100000:65536\n1002:300000:10\n"
		    "root:400000:100\nldap:500000:100\n\nben:x:5\nben:1:\nben:5\n:600000:5\n"
		    "anna:-5:10\nanna:700000:99999999999\nanna:800000:5:5\n");
	ck_assert_uint_eq(subids.nr, 5);
	ck_assert_uint_eq(subids_user(&subids, 99999), USER_NONE);
	ck_assert_uint_eq(subids_user(&subids, 100000), 1000);
	ck_assert_uint_eq(subids_user(&subids, 165535), 1000);
	ck_assert_uint_eq(subids_user(&subids, 165536), 1001);
	ck_assert_uint_eq(subids_user(&subids, 300009), 1002);
	ck_assert_uint_eq(subids_user(&subids, 300010), USER_NONE);
	/* All ids of a range are one user, and no others. */
	ck_assert_uint_eq(subids_user(&subids, 400099), (1ULL << 32) + 400000);
	ck_assert_uint_eq(subids_user(&subids, 500001), (1ULL << 32) + 500000);
	/* Another file replaces it. */
	read_subids(&subids, "anna:5000:1\n");
	ck_assert_uint_eq(subids_user(&subids, 100000), USER_NONE);
	ck_assert_uint_eq(subids_user(&subids, 5000), 1000);
	subids_free(&subids);
}
END_TEST

struct counted {
	const char *text;
	size_t size, at, read;
};

static ssize_t read_counted(void *cookie, char *buffer, size_t size)
{
	struct counted *counted = cookie;
	size_t left = counted->size - counted->at;

	size = size < left ? size : left;
	memcpy(buffer, counted->text + counted->at, size);
	counted->at += size;
	counted->read += size;
	return size;
}

static int seek_counted(void *cookie, off64_t *offset, int whence)
{
	struct counted *counted = cookie;

	if (whence == SEEK_END)
		return -1;
	counted->at = *offset += whence == SEEK_CUR ? counted->at : 0;
	return 0;
}

/* The files are read once, for any number of ranges: all clients wait meanwhile. */
START_TEST(users_are_read_once)
{
	static char users[40000], ranges[40000];
	struct counted counted = { .text = users };
	struct subids subids = { 0 };
	FILE *file, *lines;
	char *to = users, *line = ranges;

	for (int i = 0; i < 500; i++) {
		to += sprintf(to, "user%d:x:%d:%d::/home/user%d:/bin/sh\n", i, 1000 + i, 1000 + i, i);
		line += sprintf(line, "user%d:%d:10\n", 499 - i, 100000 + 10 * i);
	}
	/* The first of two of one name counts. */
	to += sprintf(to, "user7:x:5:5::/:/bin/sh\n");
	counted.size = to - users;
	file = fopencookie(&counted, "r", (cookie_io_functions_t){ .read = read_counted,
								   .seek = seek_counted });
	lines = text(ranges);
	ck_assert_int_eq(subids_read(&subids, lines, file), 0);
	fclose(lines);
	fclose(file);
	ck_assert_uint_lt(counted.read, 2 * counted.size);
	ck_assert_uint_eq(subids.nr, 500);
	for (int i = 0; i < 500; i++)
		ck_assert_uint_eq(subids_user(&subids, 100009 + 10 * i), 1499 - i);
	subids_free(&subids);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker_accounts");
	TCase *tc = add_group(s, "flow");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bucket_empties_and_fills);
	tcase_add_test(tc, no_limit_never_waits);
	tcase_add_test(tc, reader_is_measured_when_it_matters);
	tcase_add_test(tc, bytes_of_a_message_being_freed_are_none);
	tcase_add_test(tc, messages_come_before_requests);
	tcase_add_test(tc, client_reads_its_fds_first);
	tcase_add_test(tc, dropped_one_stays_until_all_is_read);
	tcase_add_test(tc, inherited_one_is_measured_first);
	tcase_add_test(tc, user_has_so_many_fds_in_flight);
	tcase_add_test(tc, line_goes_on_without_its_first);
	tcase_add_test(tc, user_has_so_many_requests);
	tcase_add_test(tc, turn_of_one_that_does_not_read);
	tcase_add_test(tc, turn_of_one_that_waits_for_others);
	tcase_add_test(tc, account_outlives_its_connections);
	tcase_add_test(tc, accounts_of_nobody_are_limited);
	tcase_add_test(tc, lines_of_the_log_are_limited);
	tcase_add_test(tc, hello_has_a_time);
	tcase_add_test(tc, idle_ones_have_a_time);

	tc = add_group(s, "user");
	tcase_add_test(tc, user_is_the_session_s_or_the_range_s);
	tcase_add_test(tc, subordinate_ids_have_a_user);
	tcase_add_test(tc, users_are_read_once);
	return s;
}
