// SPDX-License-Identifier: MIT
#include <string.h>

#include "steps.h"

static uid_t users[] = { 1001, 1002 };

struct slice slices[NR_SLICES] = {
	{ .name = "nic/bell", .count = 2, .offset = 0, .length = 4096, .flags = SLICE_EXCLUSIVE,
	  .max_seconds = 10, .rule = { .users = users, .nr_users = 2 },
	  .actions = { .nr = 1 } },
	{ .name = "nic/stats", .count = 1, .offset = 8192, .length = 4096,
	  .flags = SLICE_READ_ONLY, .rule = { .everybody = true } },
	{ .name = "nic/queue", .count = 4, .offset = 16384, .length = 4096,
	  .flags = SLICE_EXCLUSIVE, .memory = 100, .rule = { .everybody = true } },
};

struct catalogue_device device = {
	.name = "nic", .bdf = "0000:01:00.0", .patience = 1000000, .slices = slices, .nr_slices = NR_SLICES,
};

static struct kept kept[] = { { 1, { 1, 1 } } };

struct catalogue catalogue = {
	.total = { 4, 4, 350 }, .per_user = { 2, 3, 250 }, .leases_per_client = 3,
	.memory_per_client = 250,
	.kept = kept, .nr_kept = 1, .devices = &device, .nr_devices = 1,
};

const struct identity identities[NR_IDENTITIES] = {
	{ .uid = 0 }, { .uid = 1001 }, { .uid = 1002 }, { .uid = 1003 },
};

char said[1024];
uint64_t last_lease, last_dropped, timer, news_for;
struct news last_news;

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

void note(void *shell, const struct effect *effect)
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

struct core *core;
uint64_t now;

void happens(struct event event, const char *expected)
{
	*said = '\0';
	core_handle(core, now, &event);
	ck_assert_str_eq(said, expected);
}

void starts(const struct restored *restored, const char *expected)
{
	now = 1000000;
	*said = '\0';
	core = core_new(&catalogue, note, NULL);
	ck_assert_ptr_nonnull(core);
	ck_assert_int_eq(core_restore(core, now, restored), 0);
	ck_assert_str_eq(said, expected);
}

void opens(void)
{
	starts(&(struct restored){ 0 }, "start save-device open");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true }, "prepare");
	happens((struct event){ .type = EVENT_PREPARED, .ok = true }, "save-device");
}

void connects(uint64_t client)
{
	happens((struct event){ .type = EVENT_CONNECT, .client = client, .user = client,
				.who = &identities[client % 4] }, "");
	happens((struct event){ .type = EVENT_HELLO, .client = client, .serial = 1,
				.name = "test" }, "keep save-client reply:done");
}

struct event acquire(uint64_t client, uint64_t serial, const char *name, uint32_t index)
{
	return (struct event){ .type = EVENT_ACQUIRE, .client = client, .serial = serial,
			       .name = name, .index = index };
}

uint64_t is_granted(uint64_t client, uint64_t serial, uint32_t index, uint64_t buffer)
{
	uint64_t lease;

	happens(acquire(client, serial, "nic/bell", index), "save:exporting export");
	lease = last_lease;
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = lease,
				.buffer = buffer }, "save:granted send:grant");
	happens((struct event){ .type = EVENT_SENT, .client = client, .ok = true }, "");
	return lease;
}

uint64_t is_granted_memory(uint64_t client, uint64_t serial, uint32_t index)
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
