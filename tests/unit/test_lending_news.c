// SPDX-License-Identifier: MIT
/* What clients that watch are sent, event by event. */
#include "steps.h"

static void watches(uint64_t client, uint64_t serial)
{
	happens((struct event){ .type = EVENT_WATCH, .client = client, .serial = serial },
		"save-client reply:done");
}

static void is_sent(uint64_t client, const char *expected)
{
	happens((struct event){ .type = EVENT_SENT, .client = client, .ok = true }, expected);
}

static void check_news(uint64_t client, enum news_type type, uint64_t lease)
{
	ck_assert_uint_eq(news_for, client);
	ck_assert_int_eq(last_news.type, type);
	ck_assert_uint_eq(last_news.lease, lease);
}

START_TEST(watchers_are_notified)
{
	uint64_t lease;

	opens();
	connects(1);
	connects(2);
	connects(4);
	watches(4, 2);
	/* One of another user sees nothing. */
	watches(2, 2);
	happens(acquire(1, 2, "nic/bell", 0), "save:exporting export");
	lease = last_lease;
	now = 7000000;
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease, .buffer = 7 },
		"save:granted send:grant send:news");
	check_news(4, NEWS_GRANTED, lease);
	ck_assert_str_eq(last_news.name, "nic/bell");
	ck_assert_str_eq(last_news.client, "test");
	ck_assert_str_eq(last_news.bdf, "0000:01:00.0");
	ck_assert_uint_eq(last_news.seconds, 10);
	ck_assert_uint_eq(last_news.uid, 1001);
	ck_assert_uint_eq(last_news.time, now);
	is_sent(1, "");
	is_sent(4, "");
	/* One after the other, as there is room. */
	happens((struct event){ .type = EVENT_RENEW, .client = 1, .serial = 3, .lease = lease, .seconds = 3 },
		"save:granted reply:done send:news");
	check_news(4, NEWS_RENEWED, lease);
	ck_assert_uint_eq(last_news.seconds, 3);
	happens((struct event){ .type = EVENT_SUSPENDED, .suspended = true }, "send:suspended");
	is_sent(1, "");
	is_sent(4, "send:news");
	check_news(4, NEWS_DEVICE_SUSPENDED, 0);
	ck_assert_str_eq(last_news.name, "nic");
	happens((struct event){ .type = EVENT_UNPLUG }, "save:ending close");
	is_sent(4, "send:news");
	check_news(4, NEWS_DEVICE_LOST, 0);
	ck_assert_str_eq(last_news.why, "it is being unbound or unplugged");
	happens((struct event){ .type = EVENT_CLOSED }, "save:ended send:end");
	is_sent(4, "send:news");
	check_news(4, NEWS_ENDED, lease);
	ck_assert_uint_eq(last_news.end, END_DEVICE);
	is_sent(4, "");
	core_free(core);
}
END_TEST

/* A client sees the news of its own user.  A refused request is not news. */
START_TEST(watchers_see_their_own)
{
	uint64_t lease;

	opens();
	connects(1);
	watches(1, 2);
	happens(acquire(1, 3, "nic/bell", 0), "save:exporting export");
	lease = last_lease;
	/* What is about its lease comes first. */
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease, .buffer = 7 },
		"save:granted send:grant");
	is_sent(1, "send:news");
	check_news(1, NEWS_GRANTED, lease);
	is_sent(1, "");
	happens((struct event){ .type = EVENT_SUSPENDED, .suspended = true }, "send:suspended");
	is_sent(1, "");
	happens(acquire(1, 4, "nic/bell", 0), "reply:busy");
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 5, .lease = lease },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease }, "act");
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease }, "save:ended send:end");
	is_sent(1, "forget send:news");
	check_news(1, NEWS_ENDED, lease);
	/* Nothing is left of it. */
	happens((struct event){ .type = EVENT_GONE, .client = 1 }, "forget-client");
	happens((struct event){ .type = EVENT_SUSPENDED }, "");
	core_free(core);
}
END_TEST

/*
 * A watcher that does not read costs nothing, and is sent the number of news that it has
 * missed.
 */
START_TEST(watchers_that_do_not_read)
{
	opens();
	connects(4);
	connects(8);
	watches(4, 2);
	watches(8, 2);
	/* The first is in the hands of the connection of the one who does not read. */
	happens((struct event){ .type = EVENT_SUSPENDED, .suspended = true }, "send:news send:news");
	is_sent(4, "");
	for (uint64_t i = 0; i < NEWS_ROOM + 9; i++) {
		happens((struct event){ .type = EVENT_SUSPENDED, .suspended = i % 2 }, "send:news");
		ck_assert_uint_eq(news_for, 4);
		is_sent(4, "");
	}
	is_sent(8, "send:news");
	check_news(8, NEWS_MISSED, 0);
	ck_assert_uint_eq(last_news.missed, 9);
	for (uint64_t i = 0; i < NEWS_ROOM; i++) {
		is_sent(8, "send:news");
		check_news(8, i % 2 ? NEWS_DEVICE_RESUMED : NEWS_DEVICE_SUSPENDED, 0);
	}
	is_sent(8, "");
	core_free(core);
}
END_TEST

/* The next process continues the watch, and says that news may be missing. */
START_TEST(watchers_stay)
{
	const struct restored_client clients[] = {
		{ { .id = 1 }, 1, &identities[1] }, { { .id = 4, .watch = 2 }, 4, &identities[0] },
	};
	const struct restored_device known = { { "0000:01:00.0", true }, true };
	const struct restored restored = {
		.start = 3, .devices = &known, .nr_devices = 1, .clients = clients, .nr_clients = 2,
	};

	starts(&restored, "start open send:news");
	check_news(4, NEWS_RESTARTED, 0);
	/* The former process has not answered: what is to be sent is not lost by that. */
	happens((struct event){ .type = EVENT_OPENED, .ok = true }, "");
	watches(4, 2);
	is_sent(4, "send:news");
	check_news(4, NEWS_DEVICE_OPEN, 0);
	ck_assert(!core_has_nothing(core, 4));
	ck_assert(core_has_nothing(core, 1));
	core_free(core);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("lending");
	TCase *tc = add_group(s, "lending");

	tcase_add_test(tc, watchers_are_notified);
	tcase_add_test(tc, watchers_see_their_own);
	tcase_add_test(tc, watchers_that_do_not_read);
	tcase_add_test(tc, watchers_stay);
	return s;
}
