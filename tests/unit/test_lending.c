// SPDX-License-Identifier: MIT
/*
 * What the core does, event by event: each test is a table of events with the
 * effects that they must have, in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "core.h"
#include "news.h"
#include "suite.h"

static uid_t users[] = { 1001, 1002 };

static struct slice slices[] = {
	{ .name = "nic/bell", .count = 2, .offset = 0, .length = 4096, .flags = SLICE_EXCLUSIVE,
	  .max_seconds = 10, .rule = { .users = users, .nr_users = 2 },
	  .actions = { .nr = 1 } },
	{ .name = "nic/stats", .count = 1, .offset = 8192, .length = 4096,
	  .flags = SLICE_READ_ONLY, .rule = { .everybody = true } },
	{ .name = "nic/queue", .count = 4, .offset = 16384, .length = 4096,
	  .flags = SLICE_EXCLUSIVE, .memory = 100, .rule = { .everybody = true } },
};

static struct catalogue_device device = {
	.name = "nic", .bdf = "0000:01:00.0", .patience = 1000000, .slices = slices, .nr_slices = 3,
};

static struct kept kept[] = { { 1, { 1, 1 } } };

static struct catalogue catalogue = {
	.total = { 4, 4, 350 }, .per_user = { 2, 3, 250 }, .leases_per_client = 3,
	.memory_per_client = 250,
	.kept = kept, .nr_kept = 1, .devices = &device, .nr_devices = 1,
};

static const struct identity identities[] = {
	{ .uid = 0 }, { .uid = 1001 }, { .uid = 1002 }, { .uid = 1003 },
};

/* The effects, as text: "save export reply:busy". */
static char said[1024];
static uint64_t last_lease, last_dropped, timer;
static struct news last_news;
static uint64_t news_for;		/* the client that it is sent to */

static const char *const names[] = {
	[EFFECT_SAVE_START] = "start", [EFFECT_SAVE_CLIENT] = "save-client",
	[EFFECT_SAVE_DEVICE] = "save-device", [EFFECT_FORGET_CLIENT] = "forget-client",
	[EFFECT_FORGET_LEASE] = "forget", [EFFECT_FORGET_DEVICE] = "forget-device",
	[EFFECT_KEEP] = "keep", [EFFECT_DROP] = "drop", [EFFECT_OPEN] = "open",
	[EFFECT_PREPARE] = "prepare", [EFFECT_EXPORT] = "export", [EFFECT_REVOKE] = "revoke",
	[EFFECT_ACT] = "act", [EFFECT_UNMAP] = "unmap", [EFFECT_CLOSE] = "close",
};
static const char *const phases[] = {
	[LEASE_WAITING] = "save:waiting", [LEASE_EXPORTING] = "save:exporting",
	[LEASE_GRANTED] = "save:granted", [LEASE_ENDING] = "save:ending",
	[LEASE_ENDED] = "save:ended",
};
static const char *const answers[] = {
	[ANSWER_DONE] = "reply:done", [ANSWER_WAITING] = "reply:waiting",
	[ANSWER_NO_SLICE] = "reply:no-slice", [ANSWER_BUSY] = "reply:busy",
	[ANSWER_INVALID] = "reply:invalid", [ANSWER_LIMIT] = "reply:limit",
	[ANSWER_NO_LEASE] = "reply:no-lease", [ANSWER_FORBIDDEN] = "reply:forbidden",
	[ANSWER_DEVICE] = "reply:device", [ANSWER_NO_MEMORY] = "reply:no-memory",
	[ANSWER_NO_CATALOGUE] = "reply:no-catalogue",
	[ANSWER_MEMORY_LIMIT] = "reply:memory-limit",
};
static const char *const messages[] = {
	[MESSAGE_GRANT] = "send:grant", [MESSAGE_STATE] = "send:state", [MESSAGE_END] = "send:end",
	[MESSAGE_NEWS] = "send:news",
};

static void note(void *shell, const struct effect *effect)
{
	const char *word;

	(void)shell;
	if (effect->type == EFFECT_LOG)
		return;
	if (effect->type == EFFECT_TIMER) {
		timer = effect->time;
		return;
	}
	word = names[effect->type];
	if (effect->type == EFFECT_SAVE_LEASE)
		word = phases[effect->saved_lease->phase];
	else if (effect->type == EFFECT_REPLY)
		word = answers[effect->answer];
	else if (effect->type == EFFECT_SEND)
		word = messages[effect->message];
	else if (effect->type == EFFECT_ACT && effect->reset)
		word = "act:reset";
	else if (effect->type == EFFECT_DROP)
		last_dropped = effect->client;
	if (effect->news) {
		last_news = *effect->news;
		news_for = effect->client;
	}
	if (effect->type == EFFECT_SEND && effect->message == MESSAGE_STATE && effect->suspended)
		word = "send:suspended";
	if (effect->saved_lease)
		last_lease = effect->saved_lease->id;
	if (*said)
		strcat(said, " ");
	strcat(said, word);
}

static void ignore(void *shell, const struct effect *effect)
{
	(void)shell, (void)effect;
}

static struct core *core;
static uint64_t now;

static void happens(struct event event, const char *expected)
{
	*said = '\0';
	core_handle(core, now, &event);
	ck_assert_str_eq(said, expected);
}

static void starts(const struct restored *restored, const char *expected)
{
	now = 1000000;
	*said = '\0';
	core = core_new(&catalogue, note, NULL);
	ck_assert_ptr_nonnull(core);
	ck_assert_int_eq(core_restore(core, now, restored), 0);
	ck_assert_str_eq(said, expected);
}

static void opens(void)
{
	starts(&(struct restored){ 0 }, "start save-device open");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	happens((struct event){ .type = EVENT_PREPARED, .ok = true }, "save-device");
}

/* Client n is of user n. */
static void connects(uint64_t client)
{
	happens((struct event){ .type = EVENT_CONNECT, .client = client, .user = client,
				.who = &identities[client % 4] }, "");
	happens((struct event){ .type = EVENT_HELLO, .client = client, .serial = 1,
				.name = "test" }, "keep save-client reply:done");
}

static struct event acquire(uint64_t client, uint64_t serial, const char *name, uint32_t index)
{
	return (struct event){ .type = EVENT_ACQUIRE, .client = client, .serial = serial,
			       .name = name, .index = index };
}

/* The id of the lease. */
static uint64_t is_granted(uint64_t client, uint64_t serial, uint32_t index, uint64_t buffer)
{
	uint64_t lease;

	happens(acquire(client, serial, "nic/bell", index), "save:exporting export");
	lease = last_lease;
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease,
				.buffer = buffer }, "save:granted send:grant");
	happens((struct event){ .type = EVENT_SENT, .client = client, .ok = true }, "");
	return lease;
}

START_TEST(lent_and_released)
{
	uint64_t lease;

	opens();
	connects(1);
	lease = is_granted(1, 2, 0, 7);
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 3, .lease = lease },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease, .buffer = 7 }, "act");
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease },
		"save:ended send:end");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "forget");
	core_free(core);
}
END_TEST

/* The id of a lease with memory at 0x1000. */
static uint64_t is_granted_memory(uint64_t client, uint64_t serial, uint32_t index)
{
	uint64_t lease;

	happens(acquire(client, serial, "nic/queue", index), "save:exporting export");
	lease = last_lease;
	ck_assert_uint_eq(core_find_lease(core, lease)->r.memory, 100);
	ck_assert_uint_eq(core_find_lease(core, lease)->r.iova, 0);
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease,
				.buffer = 7, .iova = 0x1000 }, "save:granted send:grant");
	ck_assert_uint_eq(core_find_lease(core, lease)->r.iova, 0x1000);
	happens((struct event){ .type = EVENT_SENT, .client = client, .ok = true }, "");
	return lease;
}

/* Registers, actions (also if there are none), memory; then the client is notified. */
START_TEST(memory_is_unmapped_at_the_end)
{
	uint64_t lease;

	opens();
	connects(1);
	lease = is_granted_memory(1, 2, 0);
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 3, .lease = lease },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease, .buffer = 7 }, "act");
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease }, "unmap");
	happens(acquire(1, 4, "nic/queue", 0), "reply:busy");
	happens((struct event){ .type = EVENT_UNMAPPED, .ok = true, .lease = lease },
		"save:ended send:end");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "forget");
	core_free(core);
}
END_TEST

/* The device is closed, and the lease has not ended before that. */
START_TEST(memory_that_cannot_be_unmapped)
{
	uint64_t lease;

	opens();
	connects(1);
	lease = is_granted_memory(1, 2, 0);
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 3, .lease = lease },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease, .buffer = 7 }, "act");
	if (_i) {
		happens((struct event){ .type = EVENT_ACTED, .lease = lease }, "close");
	} else {
		happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease }, "unmap");
		happens((struct event){ .type = EVENT_UNMAPPED, .lease = lease }, "close");
	}
	happens((struct event){ .type = EVENT_UNMAPPED, .ok = true, .lease = lease }, "");
	happens((struct event){ .type = EVENT_CLOSED }, "save:ended send:end");
	core_free(core);
}
END_TEST

/* The memory may have been mapped before, and the device prepared. */
START_TEST(memory_of_a_failed_export)
{
	uint64_t lease;

	opens();
	connects(1);
	happens(acquire(1, 2, "nic/queue", 0), "save:exporting export");
	lease = last_lease;
	if (_i)
		happens((struct event){ .type = EVENT_GONE, .client = 1 }, "save:exporting forget-client");
	happens((struct event){ .type = EVENT_EXPORTED, .lease = lease }, "save:ending act");
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease }, "unmap");
	happens((struct event){ .type = EVENT_UNMAPPED, .ok = true, .lease = lease },
		_i ? "forget" : "save:ended send:end");
	core_free(core);
}
END_TEST

START_TEST(limits_of_memory)
{
	uint64_t lease;

	opens();
	connects(1);
	connects(2);
	lease = is_granted_memory(1, 2, 0);
	is_granted_memory(1, 3, 1);
	/* 250 for a connection and for a user, 350 in all. */
	happens(acquire(1, 4, "nic/queue", 2), "reply:memory-limit");
	is_granted_memory(2, 2, 2);
	happens(acquire(2, 3, "nic/queue", 3), "reply:memory-limit");
	/* Others are not affected. */
	is_granted(2, 4, 0, 9);
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 5, .lease = lease },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease, .buffer = 7 }, "act");
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease }, "unmap");
	happens((struct event){ .type = EVENT_UNMAPPED, .ok = true, .lease = lease },
		"save:ended send:end");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "forget");
	is_granted_memory(2, 5, 3);
	core_free(core);
}
END_TEST

/* Another amount of memory is another slice. */
START_TEST(memory_in_another_configuration)
{
	static struct slice others[3];
	static struct catalogue_device changed;
	struct catalogue other = catalogue;

	memcpy(others, slices, sizeof(others));
	others[2].memory = 200;
	changed = device;
	changed.slices = others;
	other.devices = &changed;
	opens();
	connects(1);
	is_granted_memory(1, 2, 0);
	happens((struct event){ .type = EVENT_RELOAD, .catalogue = &catalogue }, "");
	happens((struct event){ .type = EVENT_RELOAD, .catalogue = &other }, "save:ending revoke");
	core_free(core);
}
END_TEST

/* The worker has the device until it is closed, so it is not opened a second time. */
START_TEST(hangs_when_it_is_opened)
{
	starts(&(struct restored){ 0 }, "start save-device open");
	ck_assert_uint_eq(timer, now + device.patience);
	now += device.patience;
	happens((struct event){ .type = EVENT_TIME }, "close");
	happens((struct event){ .type = EVENT_PRESENT }, "");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "");
	happens((struct event){ .type = EVENT_CLOSED }, "");
	happens((struct event){ .type = EVENT_PRESENT }, "save-device open");
	core_free(core);
}
END_TEST

/* The connection is in the fd store once, also if the client sends several hellos. */
START_TEST(greets_twice)
{
	opens();
	connects(1);
	happens((struct event){ .type = EVENT_HELLO, .client = 1, .serial = 2, .name = "other" },
		"reply:done");
	ck_assert_str_eq(core_find_client(core, 1)->r.name, "test");
	core_free(core);
}
END_TEST

START_TEST(not_sent)
{
	uint64_t lease;

	opens();
	connects(1);
	happens(acquire(1, 2, "nic/bell", 0), "save:exporting export");
	lease = last_lease;
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease, .buffer = 7 },
		"save:granted send:grant");
	happens((struct event){ .type = EVENT_SENT, .client = 1 }, "save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease, .buffer = 7 }, "act");
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease },
		"save:ended send:end");
	/* An end that cannot be sent is over as well. */
	happens((struct event){ .type = EVENT_SENT, .client = 1 }, "forget");
	core_free(core);
}
END_TEST

START_TEST(refused)
{
	static const struct {
		uint64_t client;
		struct event event;
		const char *answer;
	} table[] = {
		{ 1, { .name = "nic/none" }, "reply:no-slice" },
		{ 3, { .name = "nic/bell" }, "reply:no-slice" },	/* not for this user */
		{ 1, { .name = "nic/bell", .index = 2 }, "reply:invalid" },
		{ 1, { .name = "nic/bell", .seconds = 11 }, "reply:invalid" },
		{ 1, { .name = "nic/bell", .flags = SLICE_WC }, "reply:invalid" },
		{ 2, { .name = "nic/bell", .index = 0 }, "reply:busy" },
	};

	opens();
	connects(1);
	connects(2);
	connects(3);
	is_granted(1, 2, 0, 7);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct event event = table[i].event;

		event.type = EVENT_ACQUIRE;
		event.client = table[i].client;
		event.serial = 10 + i;
		happens(event, table[i].answer);
	}
	core_free(core);
}
END_TEST

START_TEST(waits_for_its_turn)
{
	struct event first = acquire(2, 2, "nic/bell", 0), second = acquire(1, 3, "nic/bell", 0);
	uint64_t lease;

	opens();
	connects(1);
	connects(2);
	lease = is_granted(1, 2, 0, 7);
	first.wait = second.wait = 5000000;
	happens(first, "save:waiting reply:waiting");
	happens(second, "save:waiting reply:waiting");
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 4, .lease = lease },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease }, "act");
	/* Saved before the bytes are granted to another client. */
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease },
		"save:ended save:exporting export send:end");
	/* The second one's time is over, and so is the device's to export for the first. */
	now += 6000000;
	happens((struct event){ .type = EVENT_TIME }, "save:ended save:exporting close");
	core_free(core);
}
END_TEST

START_TEST(time_is_over)
{
	uint64_t lease;

	opens();
	connects(1);
	lease = is_granted(1, 2, 0, 7);
	ck_assert_uint_eq(timer, now + 1000000);	/* for the export, and left at that */
	now += 10000000;
	happens((struct event){ .type = EVENT_TIME }, "save:ending revoke");
	/* The device does not answer. */
	now += 1000000;
	happens((struct event){ .type = EVENT_TIME }, "close");
	/* A late result is ignored. */
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease }, "");
	happens((struct event){ .type = EVENT_CLOSED }, "save:ended send:end");
	happens(acquire(1, 3, "nic/bell", 0), "reply:device");
	core_free(core);
}
END_TEST

START_TEST(actions_fail)
{
	uint64_t lease;

	opens();
	connects(1);
	lease = is_granted(1, 2, 0, 7);
	happens((struct event){ .type = EVENT_GONE, .client = 1 },
		"save:ending revoke forget-client");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease }, "act");
	happens((struct event){ .type = EVENT_ACTED, .lease = lease }, "close");
	happens((struct event){ .type = EVENT_CLOSED }, "forget");
	/* It is opened again, and is prepared before its slices are granted. */
	happens((struct event){ .type = EVENT_PRESENT }, "save-device open");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	core_free(core);
}
END_TEST

START_TEST(kept_places)
{
	static const struct identity *who = &identities[3];

	opens();
	/* Users 5 and 6 take all places, except one of user 1. */
	for (uint64_t i = 0; i < 3; i++)
		happens((struct event){ .type = EVENT_CONNECT, .client = 10 + i,
					.user = 5 + i, .who = who }, "");
	happens((struct event){ .type = EVENT_CONNECT, .client = 20, .user = 8, .who = who },
		"drop");
	happens((struct event){ .type = EVENT_CONNECT, .client = 21, .user = 1, .who = who }, "");
	core_free(core);
}
END_TEST

/* Also if there is room. */
START_TEST(limits_of_a_user)
{
	opens();
	for (uint64_t client = 1; client <= 9; client += 4)
		happens((struct event){ .type = EVENT_CONNECT, .client = client, .user = 5,
					.who = &identities[1] }, client == 9 ? "drop" : "");
	ck_assert_uint_eq(last_dropped, 9);
	for (uint64_t client = 1; client <= 5; client += 4)
		happens((struct event){ .type = EVENT_HELLO, .client = client, .serial = 1,
					.name = "test" }, "keep save-client reply:done");
	is_granted(1, 2, 0, 7);
	is_granted(5, 2, 1, 8);
	happens(acquire(1, 3, "nic/stats", 0), "save:exporting export");
	happens(acquire(5, 3, "nic/stats", 0), "reply:limit");
	core_free(core);
}
END_TEST

/* There is room, but it is kept for another user. */
START_TEST(limit_of_a_connection)
{
	static struct catalogue few;

	few = catalogue;
	few.leases_per_client = 1;
	opens();
	connects(1);
	happens((struct event){ .type = EVENT_RELOAD, .catalogue = &few }, "");
	is_granted(1, 2, 0, 7);
	happens(acquire(1, 3, "nic/stats", 0), "reply:limit");
	core_free(core);
}
END_TEST

START_TEST(the_idle_make_room)
{
	static const struct identity *who = &identities[3];

	opens();
	for (uint64_t i = 0; i < 3; i++)
		happens((struct event){ .type = EVENT_CONNECT, .client = 10 + i,
					.user = i ? 5 : 6, .who = who }, "");
	/* One of user 5, which has two, and that which has been idle longer. */
	now++;
	happens((struct event){ .type = EVENT_HELLO, .client = 11, .serial = 1, .name = "test" },
		"keep save-client reply:done");
	happens((struct event){ .type = EVENT_CONNECT, .client = 20, .user = 7, .who = who },
		"drop");
	ck_assert_uint_eq(last_dropped, 12);
	happens((struct event){ .type = EVENT_GONE, .client = 12 }, "");
	/* Then no user has more than the newcomer would have. */
	happens((struct event){ .type = EVENT_CONNECT, .client = 21, .user = 8, .who = who },
		"drop");
	ck_assert_uint_eq(last_dropped, 21);
	happens((struct event){ .type = EVENT_GONE, .client = 20 }, "");
	happens((struct event){ .type = EVENT_CONNECT, .client = 22, .user = 5, .who = who }, "");
	happens((struct event){ .type = EVENT_CONNECT, .client = 23, .user = 6, .who = who }, "drop");
	ck_assert_uint_eq(last_dropped, 23);
	core_free(core);
}
END_TEST

/* A process that died at one phase or another, and what the next one does. */
START_TEST(goes_on)
{
	static const struct listed live[] = { { 7, false } }, revoked[] = { { 7, true } },
				   strange[] = { { 7, false }, { 8, false } };
	static const struct {
		enum phase phase;
		bool connected;
		const struct listed *listed;
		size_t nr;
		const char *at_start, *when_open;
	} table[] = {
		{ LEASE_GRANTED, true, live, 1, "start open send:state", "" },
		{ LEASE_GRANTED, true, revoked, 1, "start open send:state", "save:ending revoke" },
		{ LEASE_GRANTED, true, strange, 2, "start open send:state", "save-device revoke save:ending close" },
		{ LEASE_GRANTED, false, live, 1, "start save:ending open", "revoke" },
		{ LEASE_ENDING, true, live, 1, "start open", "revoke" },
		{ LEASE_EXPORTING, true, NULL, 0, "start save:waiting open", "save:exporting export" },
		{ LEASE_ENDED, true, NULL, 0, "start open send:end", "" },
		{ LEASE_ENDED, false, NULL, 0, "start forget open", "" },
	};
	struct lease_record record = {
		.id = 5, .client = 1, .serial = 2, .buffer = 7, .length = 4096, .count = 2,
		.wanted = 0, .flags = SLICE_EXCLUSIVE, .max_seconds = 10, .seconds = 10,
		.expires = 9000000, .phase = table[_i].phase, .bdf = "0000:01:00.0",
		.slice = "nic/bell",
	};
	const struct restored_client client = { { .id = 1 }, 1, &identities[1] };
	const struct restored_device known = { { "0000:01:00.0", true }, true };
	const struct restored restored = {
		.start = 3, .leases = &record, .nr_leases = 1, .devices = &known, .nr_devices = 1,
		.clients = &client, .nr_clients = table[_i].connected,
	};

	if (record.phase == LEASE_EXPORTING)
		record.buffer = 0;
	starts(&restored, table[_i].at_start);
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .buffers = table[_i].listed,
				.nr_buffers = table[_i].nr }, table[_i].when_open);
	core_free(core);
}
END_TEST

/* A device can be in a reset when a slice of it is granted. */
START_TEST(suspension_before_the_grant_is_reported)
{
	uint64_t lease;

	opens();
	connects(1);
	happens((struct event){ .type = EVENT_SUSPENDED, .suspended = true }, "");
	happens(acquire(1, 2, "nic/bell", 0), "save:exporting export");
	lease = last_lease;
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease, .buffer = 7 },
		"save:granted send:grant");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "send:suspended");
	/* It was resumed and suspended again, which is read as one change. */
	happens((struct event){ .type = EVENT_SUSPENDED, .suspended = true }, "");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "");
	core_free(core);
}
END_TEST

/* All clients with leases of it are notified. */
START_TEST(suspension_is_reported)
{
	uint64_t lease;

	opens();
	connects(1);
	lease = is_granted(1, 2, 0, 7);
	happens((struct event){ .type = EVENT_SUSPENDED, .suspended = true }, "send:suspended");
	/* Changes before it is sent are combined in one message. */
	happens((struct event){ .type = EVENT_SUSPENDED }, "");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "send:state");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "");
	happens((struct event){ .type = EVENT_SUSPENDED }, "");
	happens((struct event){ .type = EVENT_SUSPENDED, .suspended = true }, "send:suspended");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "");
	/* It is not any more when it has been opened again. */
	happens((struct event){ .type = EVENT_UNPLUG }, "save:ending close");
	happens((struct event){ .type = EVENT_CLOSED }, "save:ended send:end");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "forget");
	happens((struct event){ .type = EVENT_PRESENT }, "save-device open");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	happens((struct event){ .type = EVENT_PREPARED, .ok = true }, "save-device");
	happens(acquire(1, 3, "nic/bell", 0), "save:exporting export");
	lease = last_lease;
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease, .buffer = 8 },
		"save:granted send:grant");
	core_free(core);
}
END_TEST

/* Another configuration, and which leases of the former one continue. */
START_TEST(reload_and_leases)
{
	static const struct {
		uint32_t flags, max_seconds;
		bool gone;
		const char *expected;
		uint32_t driver, depth;
		uint64_t memory;
	} table[] = {
		{ SLICE_EXCLUSIVE, 10, false, "", 0, 0, 0 },
		{ SLICE_EXCLUSIVE, 5, false, "save:granted", 0, 0, 0 },
		{ SLICE_EXCLUSIVE, 0, false, "save:granted", 0, 0, 0 },
		{ 0, 10, false, "save:ending revoke", 0, 0, 0 },
		{ SLICE_EXCLUSIVE | SLICE_WC, 10, false, "save:ending revoke", 0, 0, 0 },
		{ SLICE_EXCLUSIVE | SLICE_READ_ONLY, 10, false, "save:ending revoke", 0, 0, 0 },
		{ SLICE_EXCLUSIVE | SLICE_INTERRUPT, 10, false, "save:ending revoke", 0, 0, 0 },
		{ SLICE_EXCLUSIVE, 10, true, "save:ending revoke close", 0, 0, 0 },
		{ SLICE_EXCLUSIVE, 10, false, "", 0, 7, 0 },
		{ SLICE_EXCLUSIVE, 10, false, "save:ending revoke", 0, 0, 4096 },
		{ SLICE_EXCLUSIVE, 10, false, "save:ending close", DRIVER_NVME, 0, 0 },
	};
	struct slice bell = slices[0];
	struct catalogue_device nic = device;
	struct catalogue other = catalogue;

	bell.flags = table[_i].flags;
	bell.max_seconds = table[_i].max_seconds;
	bell.depth = table[_i].depth;
	bell.memory = table[_i].memory;
	nic.slices = &bell;
	nic.nr_slices = 1;
	nic.patience = 3000000;
	nic.driver = table[_i].driver;
	other.devices = &nic;
	other.nr_devices = !table[_i].gone;
	opens();
	connects(1);
	is_granted(1, 2, 0, 7);
	now += 500000;
	happens((struct event){ .type = EVENT_TIME }, "");
	happens((struct event){ .type = EVENT_RELOAD, .catalogue = &other }, table[_i].expected);
	if (!*table[_i].expected) {
		/* Ten seconds from the grant on, as it was. */
		now = 10999999;
		happens((struct event){ .type = EVENT_TIME }, "");
		now++;
		happens((struct event){ .type = EVENT_TIME }, "save:ending revoke");
	}
	/* It has the patience of the other configuration. */
	if (strcmp(table[_i].expected, "save:ending revoke"))
		goto end;
	now += 2999999;
	happens((struct event){ .type = EVENT_TIME }, "");
	now++;
	happens((struct event){ .type = EVENT_TIME }, "close");
end:
	core_free(core);
}
END_TEST

/* The client that asked for the end is notified, and so is the client of the lease. */
START_TEST(root_revokes)
{
	uint64_t lease;

	opens();
	connects(1);
	connects(4);
	lease = is_granted(1, 2, 0, 7);
	happens((struct event){ .type = EVENT_REVOKE, .client = 4, .serial = 2, .lease = lease },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease }, "act");
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease },
		"save:ended send:end send:end");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "");
	happens((struct event){ .type = EVENT_SENT, .client = 4, .ok = true }, "forget");
	core_free(core);
}
END_TEST

/* By its client, or by an administrator, up to what the slice allows. */
START_TEST(leases_are_renewed)
{
	uint64_t lease;
	struct event renew;

	opens();
	connects(1);
	connects(4);
	connects(2);
	lease = is_granted(1, 2, 0, 7);
	renew = (struct event){ .type = EVENT_RENEW, .client = 1, .serial = 3, .lease = lease, .seconds = 4 };
	happens(renew, "save:granted reply:done");
	renew = (struct event){ .type = EVENT_RENEW, .client = 4, .serial = 3, .lease = lease, .seconds = 10 };
	happens(renew, "save:granted reply:done");
	ck_assert_uint_eq(core_find_lease(core, lease)->r.expires, now + 10000000);
	renew.serial = 4;
	renew.seconds = 11;
	happens(renew, "reply:invalid");
	renew = (struct event){ .type = EVENT_RENEW, .client = 2, .serial = 3, .lease = lease, .seconds = 9 };
	happens(renew, "reply:no-lease");
	ck_assert_uint_eq(core_find_lease(core, lease)->r.expires, now + 10000000);
	/* For as long as it may. */
	renew = (struct event){ .type = EVENT_RENEW, .client = 4, .serial = 5, .lease = lease };
	now += 5000000;
	happens(renew, "save:granted reply:done");
	ck_assert_uint_eq(core_find_lease(core, lease)->r.expires, now + 10000000);
	now += 9000000;
	happens((struct event){ .type = EVENT_TIME }, "");
	now += 1000000;
	happens((struct event){ .type = EVENT_TIME }, "save:ending revoke");
	renew.serial = 6;
	happens(renew, "reply:no-lease");
	core_free(core);
}
END_TEST

/* ---- watching ---- */

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

/* A device that cannot be opened, or prepared, has nobody wait for it. */
START_TEST(wait_for_a_device_in_vain)
{
	struct event event;

	starts(&(struct restored){ 0 }, "start save-device open");
	connects(1);
	event = acquire(1, 2, "nic/bell", 0);
	event.wait = 60000000;
	happens(event, "save:waiting reply:waiting");
	if (_i == 0) {
		happens((struct event){ .type = EVENT_OPENED }, "save:ended send:end");
	} else {
		happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
		ck_assert_uint_le(timer, now + 1000000);
		now += 1000000;
		happens((struct event){ .type = EVENT_TIME }, "save:ended close send:end");
	}
	core_free(core);
}
END_TEST

/* Those that are shared, of other sizes, need not wait for each other. */
START_TEST(waits_behind_nobody_else)
{
	static struct slice sizes[] = {
		{ .name = "nic/own", .count = 4, .length = 4096, .flags = SLICE_EXCLUSIVE,
		  .rule = { .everybody = true } },
		{ .name = "nic/large", .count = 2, .length = 8192, .rule = { .everybody = true } },
		{ .name = "nic/small", .count = 4, .length = 4096, .rule = { .everybody = true } },
	};
	static struct catalogue_device nic = {
		.name = "nic", .bdf = "0000:01:00.0", .patience = 1000000, .slices = sizes, .nr_slices = 3,
	};
	static const struct catalogue all = {
		.total = { 4, 9 }, .per_user = { 2, 9 }, .leases_per_client = 9,
		.devices = &nic, .nr_devices = 1,
	};
	struct event event;

	now = 1000000;
	core = core_new(&all, note, NULL);
	ck_assert_int_eq(core_restore(core, now, &(struct restored){ 0 }), 0);
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	happens((struct event){ .type = EVENT_PREPARED, .ok = true }, "save-device");
	connects(1);
	happens(acquire(1, 2, "nic/own", 0), "save:exporting export");
	happens(acquire(1, 3, "nic/own", 2), "save:exporting export");
	event = acquire(1, 4, "nic/large", ANY_INDEX);
	event.wait = 60000000;
	happens(event, "save:waiting reply:waiting");
	event = acquire(1, 5, "nic/small", ANY_INDEX);
	event.wait = 60000000;
	happens(event, "save:exporting export");
	core_free(core);
}
END_TEST

START_TEST(all_groups_count)
{
	gid_t groups[] = { 7, 50 }, wanted[] = { 50 };
	const struct rule rule = { .groups = wanted, .nr_groups = 1 };

	ck_assert(policy_allows(&rule, &(struct identity){ .uid = 5, .gid = 50 }));
	ck_assert(policy_allows(&rule, &(struct identity){ .uid = 5, .gid = 5, .groups = groups,
							   .nr_groups = 2 }));
	ck_assert(!policy_allows(&rule, &(struct identity){ .uid = 5, .gid = 5, .groups = groups,
							    .nr_groups = 1 }));
}
END_TEST

/* Times that a former process has begun. */
START_TEST(time_goes_on)
{
	static const struct listed live = { 7, false };
	struct lease_record records[] = {
		{ .id = 5, .client = 1, .serial = 2, .buffer = 7, .length = 4096, .count = 2,
		  .flags = SLICE_EXCLUSIVE, .max_seconds = 10, .seconds = 10, .expires = 9000000,
		  .phase = LEASE_GRANTED, .bdf = "0000:01:00.0", .slice = "nic/bell" },
		{ .id = 6, .client = 1, .serial = 3, .length = 4096, .count = 2,
		  .flags = SLICE_EXCLUSIVE, .max_seconds = 10, .seconds = 10, .wait_until = 5000000,
		  .phase = LEASE_WAITING, .bdf = "0000:01:00.0", .slice = "nic/bell" },
	};
	const struct restored_client client = { { .id = 1 }, 1, &identities[1] };
	const struct restored_device known = { { "0000:01:00.0", true }, true };
	const struct restored restored = {
		.start = 3, .leases = records, .nr_leases = 2, .devices = &known, .nr_devices = 1,
		.clients = &client, .nr_clients = 1,
	};

	starts(&restored, "start open send:state");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .buffers = &live, .nr_buffers = 1 },
		"");
	ck_assert_uint_le(timer, 5000000);
	now = 5000000;
	happens((struct event){ .type = EVENT_TIME }, "save:ended send:end");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "forget");
	ck_assert_uint_le(timer, 9000000);
	now = 9000000;
	happens((struct event){ .type = EVENT_TIME }, "save:ending revoke");
	core_free(core);
}
END_TEST

/* A reset after the last lease of the device has ended, and not before. */
START_TEST(reset_when_idle)
{
	static struct slice array = {
		.name = "nic/array", .count = 4, .length = 4096, .flags = SLICE_EXCLUSIVE,
		.rule = { .everybody = true }, .actions = { .reset = RESET_WHEN_IDLE },
	};
	static struct catalogue_device reset = {
		.name = "nic", .bdf = "0000:01:00.0", .patience = 1000000, .slices = &array, .nr_slices = 1,
	};
	static const struct catalogue resets = {
		.total = { 4, 4 }, .per_user = { 2, 4 }, .leases_per_client = 4,
		.devices = &reset, .nr_devices = 1,
	};
	uint64_t leases[2];

	array.actions.reset = _i ? RESET_EACH_TIME : RESET_WHEN_IDLE;
	now = 1000000;
	core = core_new(&resets, note, NULL);
	ck_assert_int_eq(core_restore(core, now, &(struct restored){ 0 }), 0);
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	happens((struct event){ .type = EVENT_PREPARED, .ok = true }, "save-device");
	connects(1);
	for (int i = 0; i < 2; i++) {
		happens(acquire(1, 2 + i, "nic/array", i), "save:exporting export");
		leases[i] = last_lease;
		happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = leases[i],
					.buffer = 7 + i }, "save:granted send:grant");
		happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "");
	}
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 4, .lease = leases[0] },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = leases[0] },
		_i ? "act:reset" : "save:ended send:end");
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 5, .lease = leases[1] },
		"save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = leases[1] }, "act:reset");
	core_free(core);
}
END_TEST

/* The request that was being handled is still in the socket. */
START_TEST(a_request_counts_once)
{
	const struct lease_record record = {
		.id = 5, .client = 1, .serial = 2, .length = 4096, .count = 2, .max_seconds = 10,
		.flags = SLICE_EXCLUSIVE, .phase = LEASE_EXPORTING, .bdf = "0000:01:00.0",
		.slice = "nic/bell",
	};
	const struct restored_client client = { { .id = 1 }, 1, &identities[1] };
	const struct restored restored = {
		.start = 3, .leases = &record, .nr_leases = 1, .clients = &client, .nr_clients = 1,
	};

	starts(&restored, "start save:waiting save-device open");
	happens(acquire(1, 2, "nic/bell", 0), "");
	core_free(core);
}
END_TEST

START_TEST(without_a_catalogue)
{
	const struct lease_record record = {
		.id = 5, .client = 1, .serial = 2, .buffer = 7, .length = 4096, .count = 2,
		.flags = SLICE_EXCLUSIVE, .phase = LEASE_GRANTED, .bdf = "0000:01:00.0",
		.slice = "nic/bell",
	};
	const struct listed listed = { 7, false };
	const struct restored_client client = { { .id = 1 }, 1, &identities[1] };
	const struct restored_device known = { { "0000:01:00.0", true }, true };
	const struct restored restored = {
		.start = 3, .leases = &record, .nr_leases = 1, .clients = &client, .nr_clients = 1,
		.devices = &known, .nr_devices = 1,
	};

	now = 1000000;
	*said = '\0';
	core = core_new(NULL, note, NULL);
	ck_assert_int_eq(core_restore(core, now, &restored), 0);
	ck_assert_str_eq(said, "start open send:state");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .buffers = &listed,
				.nr_buffers = 1 }, "");
	happens(acquire(1, 3, "nic/bell", 1), "reply:no-catalogue");
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = 4, .lease = 5 },
		"save:ending revoke");
	core_free(core);
}
END_TEST

/*
 * The administrator who must correct the configuration can connect, regardless of the
 * number of leases.
 */
START_TEST(root_is_let_in_without_a_catalogue)
{
	struct lease_record records[100];
	struct restored_client clients[100];
	const struct restored_device known = { { "0000:01:00.0", true }, true };
	const struct restored restored = {
		.start = 3, .leases = records, .nr_leases = 100, .clients = clients, .nr_clients = 100,
		.devices = &known, .nr_devices = 1,
	};

	for (unsigned int i = 0; i < 100; i++) {
		records[i] = (struct lease_record){
			.id = 5 + i, .client = 1 + i, .serial = 2, .buffer = 7 + i, .length = 4096,
			.count = 100, .index = i, .offset = i * 4096, .phase = LEASE_GRANTED,
			.bdf = "0000:01:00.0", .slice = "nic/stats",
		};
		clients[i] = (struct restored_client){ { .id = 1 + i }, 1000 + i, &identities[1] };
	}
	now = 1000000;
	core = core_new(NULL, ignore, NULL);
	ck_assert_int_eq(core_restore(core, now, &restored), 0);
	core_handle(core, now, &(struct event){ .type = EVENT_CONNECT, .client = 200,
						.user = 0, .who = &identities[0] });
	ck_assert_ptr_nonnull(core_find_client(core, 200));
	/* No other client can connect. */
	core_handle(core, now, &(struct event){ .type = EVENT_CONNECT, .client = 201,
						.user = 1, .who = &identities[1] });
	ck_assert_ptr_null(core_find_client(core, 201));
	core_free(core);
}
END_TEST

/* Many requests for any slice of a large array: each event is cheap. */
START_TEST(many_wait_for_any)
{
	static struct slice array = {
		.name = "nic/array", .count = 1000, .length = 4096, .rule = { .everybody = true },
	};
	static struct catalogue_device large = {
		.name = "nic", .bdf = "0000:01:00.0", .patience = 1000000, .slices = &array, .nr_slices = 1,
	};
	static const struct catalogue many = {
		.total = { 4, 3000 }, .per_user = { 2, 3000 }, .leases_per_client = 3000,
		.devices = &large, .nr_devices = 1,
	};
	uint64_t serial = 1, first = 0;
	struct event event;
	clock_t begin;

	array.flags = _i ? SLICE_EXCLUSIVE : 0;
	now = 1000000;
	core = core_new(&many, note, NULL);
	ck_assert_int_eq(core_restore(core, now, &(struct restored){ 0 }), 0);
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	happens((struct event){ .type = EVENT_PREPARED, .ok = true }, "save-device");
	connects(1);
	begin = clock();
	/* Shared leases do not exclude each other, and are all granted. */
	for (int i = 0; i < 2000; i++) {
		event = acquire(1, ++serial, "nic/array", ANY_INDEX);
		event.wait = 1000000000;
		if (_i && i >= 1000) {
			happens(event, "save:waiting reply:waiting");
			continue;
		}
		happens(event, "save:exporting export");
		first = first ? first : last_lease;
		core_handle(core, now, &(struct event){ .type = EVENT_EXPORTED, .ok = true,
							.lease = last_lease, .buffer = i + 1 });
	}
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = ++serial,
				.lease = first }, "save:ending revoke");
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = first, .buffer = 1 },
		_i ? "save:ended save:exporting export" : "save:ended");
	/* It was half a minute, and more with sanitizers. */
	ck_assert_int_lt((clock() - begin) / CLOCKS_PER_SEC, 5);
	core_free(core);
}
END_TEST

static void cannot_be_opened(uint64_t pause)
{
	happens((struct event){ .type = EVENT_OPENED }, "");
	/* The timer may still be set for the opening.  It is set again when it has run out. */
	timer = 0;
	happens((struct event){ .type = EVENT_TIME }, "");
	ck_assert_uint_eq(timer, now + pause);
}

/* A device that appears is opened soon, also if its node can be opened only a little later. */
START_TEST(device_comes_back)
{
	uint64_t pause = 1000000;

	starts(&(struct restored){ 0 }, "start save-device open");
	for (int i = 0; i < 6; i++) {
		cannot_be_opened(pause);
		now += pause;
		happens((struct event){ .type = EVENT_TIME }, "save-device open");
		pause *= 2;
	}
	cannot_be_opened(60000000);
	happens((struct event){ .type = EVENT_PRESENT }, "save-device open");
	/* The function exists, but not its node. Then the node is reported during the attempt. */
	cannot_be_opened(1000000);
	now += 1000000;
	happens((struct event){ .type = EVENT_TIME }, "save-device open");
	happens((struct event){ .type = EVENT_PRESENT }, "");
	cannot_be_opened(1000000);
	/* It has been open: if it is lost, it is tried as soon as at first. */
	for (int i = 0; i < 3; i++) {
		now += 10000000;
		happens((struct event){ .type = EVENT_TIME }, "save-device open");
		timer = 0;
		happens((struct event){ .type = EVENT_OPENED }, "");
	}
	now += 60000000;
	happens((struct event){ .type = EVENT_TIME }, "save-device open");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	happens((struct event){ .type = EVENT_PREPARED, .ok = true }, "save-device");
	happens((struct event){ .type = EVENT_UNPLUG }, "close");
	happens((struct event){ .type = EVENT_CLOSED }, "");
	now += 1000000;
	happens((struct event){ .type = EVENT_TIME }, "save-device open");
	core_free(core);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("lending");
	TCase *tc = add_group(s, "lending");

	tcase_add_test(tc, lent_and_released);
	tcase_add_test(tc, memory_is_unmapped_at_the_end);
	tcase_add_loop_test(tc, memory_that_cannot_be_unmapped, 0, 2);
	tcase_add_loop_test(tc, memory_of_a_failed_export, 0, 2);
	tcase_add_test(tc, limits_of_memory);
	tcase_add_test(tc, memory_in_another_configuration);
	tcase_add_test(tc, hangs_when_it_is_opened);
	tcase_add_test(tc, greets_twice);
	tcase_add_test(tc, not_sent);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, waits_for_its_turn);
	tcase_add_test(tc, time_is_over);
	tcase_add_test(tc, actions_fail);
	tcase_add_test(tc, kept_places);
	tcase_add_test(tc, limits_of_a_user);
	tcase_add_test(tc, limit_of_a_connection);
	tcase_add_test(tc, the_idle_make_room);
	tcase_add_loop_test(tc, goes_on, 0, 8);
	tcase_add_test(tc, suspension_before_the_grant_is_reported);
	tcase_add_test(tc, suspension_is_reported);
	tcase_add_loop_test(tc, reload_and_leases, 0, 11);
	tcase_add_test(tc, root_revokes);
	tcase_add_test(tc, leases_are_renewed);
	tcase_add_test(tc, watchers_are_notified);
	tcase_add_test(tc, watchers_see_their_own);
	tcase_add_test(tc, watchers_that_do_not_read);
	tcase_add_test(tc, watchers_stay);
	tcase_add_loop_test(tc, wait_for_a_device_in_vain, 0, 2);
	tcase_add_test(tc, waits_behind_nobody_else);
	tcase_add_test(tc, all_groups_count);
	tcase_add_test(tc, time_goes_on);
	tcase_add_loop_test(tc, reset_when_idle, 0, 2);
	tcase_add_test(tc, a_request_counts_once);
	tcase_add_test(tc, without_a_catalogue);
	tcase_add_test(tc, root_is_let_in_without_a_catalogue);
	tcase_add_loop_test(tc, many_wait_for_any, 0, 2);
	tcase_add_test(tc, device_comes_back);
	return s;
}
