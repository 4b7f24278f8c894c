// SPDX-License-Identifier: MIT
/* News that are too many, or wrong. */
#include <errno.h>
#include <string.h>

#include "broken_broker.h"

#define MANY	200

/* More than the library keeps, while the program does something else. */
static void tell_many(int fd)
{
	uint64_t serial = ask(fd, VDP_WATCH).header.serial;

	say_plain(fd, serial, VDP_WATCH | VDP_ANSWER);
	serial = ask_renew(fd);
	for (int i = 1; i <= MANY; i++)
		say_news(fd, 1, i, VDP_NEWS_GRANTED, 0);
	say_news(fd, 1, 0, VDP_NEWS_MISSED, 1000);
	say_renewed(fd, serial, 7);
	for (int i = 500; i < 502; i++) {
		serial = ask_renew(fd);
		say_news(fd, 1, i, VDP_NEWS_ENDED, 0);
		say_renewed(fd, serial, 7);
	}
}

START_TEST(news_are_counted_if_they_do_not_fit)
{
	struct vdb_news news;
	uint64_t nr = 0;

	connect_to(tell_many);
	ck_assert_works(vdb_client_watch(client));
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
	ck_assert_int_eq(vdb_client_news(client, &news), 1);
	ck_assert_uint_eq(news.lease, ++nr);
	/* There is room for one, but it comes after those that are missed. */
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
	while (vdb_client_news(client, &news) == 1 && news.type == VDB_NEWS_GRANTED)
		ck_assert_uint_eq(news.lease, ++nr);
	ck_assert_uint_ge(nr, 16);
	ck_assert_int_eq(news.type, VDB_NEWS_MISSED);
	ck_assert_uint_eq(news.missed, MANY - nr + 1000 + 1);
	ck_assert_int_eq(vdb_client_news(client, &news), 0);
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
	ck_assert_int_eq(vdb_client_news(client, &news), 1);
	ck_assert_int_eq(news.type, VDB_NEWS_ENDED);
	ck_assert_uint_eq(news.lease, 501);
	done();
}
END_TEST

static void refuse_to_watch(int fd)
{
	say_error(fd, ask(fd, VDP_WATCH).header.serial, VDP_ERROR_UNKNOWN);
}

START_TEST(broker_that_cannot_be_watched)
{
	struct vdb_news news;

	connect_to(refuse_to_watch);
	ck_assert_fails(vdb_client_watch(client), ENOTSUP);
	ck_assert_fails(vdb_client_news(client, &news), EINVAL);
	done();
}
END_TEST

static void tell_who_does_not_watch(int fd)
{
	uint64_t serial = ask_renew(fd);

	say_news(fd, serial, 1, VDP_NEWS_GRANTED, 0);
}

static void tell_without_an_end(int fd)
{
	struct vdp_news m = { .header = { .type = VDP_NEWS, .serial = 1 }, .type = VDP_NEWS_GRANTED };

	say_plain(fd, ask(fd, VDP_WATCH).header.serial, VDP_WATCH | VDP_ANSWER);
	ask_renew(fd);
	memset(m.reason, 'x', sizeof(m.reason));
	say(fd, &m, sizeof(m), 0);
}

START_TEST(wrong_news_end_it)
{
	connect_to(_i ? tell_without_an_end : tell_who_does_not_watch);
	if (_i)
		ck_assert_works(vdb_client_watch(client));
	ck_assert_fails(vdb_client_renew(client, 1, 0), EPROTO);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ENOTCONN);
	done();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_broken_group(s, "news");

	tcase_add_test(tc, news_are_counted_if_they_do_not_fit);
	tcase_add_test(tc, broker_that_cannot_be_watched);
	tcase_add_loop_test(tc, wrong_news_end_it, 0, 2);
	return s;
}
