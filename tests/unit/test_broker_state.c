// SPDX-License-Identifier: MIT
/* Saved records are loaded, also by another version. Damaged ones are not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "state/ledger.h"
#include "state/model.h"
#include "state/records.h"
#include "suite.h"

static struct model model;

START_TEST(nothing)
{
	struct state *state = state_new();
	struct saved saved;
	struct state *next = load_again(state, &saved);

	ck_assert_ptr_nonnull(next);
	ck_assert_uint_eq(saved.start, 0);
	ck_assert_uint_eq(saved.nr_clients + saved.nr_leases + saved.nr_devices, 0);
	saved_free(&saved);
	state_free(next);
	ck_assert_int_eq(state_save(state, &(struct effect){ .type = EFFECT_TIMER }), -1);
	ck_assert_int_eq(errno, EINVAL);
	state_free(state);
}
END_TEST

START_TEST(every_field)
{
	struct state *state = state_new();

	chance_start();
	save_start(state, model.start = UINT64_MAX);
	for (int i = 0; i < 500; i++) {
		model.leases[0] = random_lease(chance_number() | 1);
		model.clients[0] = random_client(chance_number() | 1);
		model.devices[0] = random_device(i);
		model.nr_leases = model.nr_clients = model.nr_devices = 1;
		ck_assert_works(state_reserve(state, 3));
		save_lease(state, &model.leases[0]);
		save_client(state, &model.clients[0]);
		save_device(state, &model.devices[0]);
		check_state(state, &model);
		forget_device(state, model.devices[0].bdf);
		forget_lease(state, model.leases[0].id);
		forget_client(state, model.clients[0].id);
	}
	model.nr_leases = model.nr_clients = model.nr_devices = 0;
	check_state(state, &model);
	state_free(state);
}
END_TEST

/* Marks what the table saves. */
static void cover(const struct field *fields, uint8_t *bytes)
{
	for (; fields->type != FIELD_END; fields++) {
		size_t nr = fields->type == FIELD_MAPS ? fields->max : 1;

		if (fields->type == FIELD_MAPS)
			memset(bytes + fields->nr, 1, sizeof(uint32_t));
		for (size_t i = 0; i < nr; i++) {
			uint8_t *one = bytes + fields->offset + i * fields->size;

			if (fields->fields)
				cover(fields->fields, one);
			else
				memset(one, 1, fields->size);
		}
	}
}

static size_t not_saved(const struct record_type *type)
{
	uint8_t bytes[sizeof(struct lease_record)] = { 0 };
	size_t nr = 0;

	cover(type->fields, bytes);
	for (size_t i = 0; i < type->size; i++)
		nr += !bytes[i];
	return nr;
}

/* A field that is added to a record and not to its table is missed here. */
START_TEST(nothing_is_left_out)
{
	const size_t of_write = sizeof(struct register_write) -
				offsetof(struct register_write, width) - sizeof(uint32_t);
	const size_t before_bdf = offsetof(struct lease_record, bdf) -
				  offsetof(struct lease_record, max_seconds) - sizeof(uint32_t);
	const size_t before_actions = offsetof(struct lease_record, actions) -
				      offsetof(struct lease_record, slice) - 64;

	ck_assert_uint_eq(before_bdf, 0);
	ck_assert_uint_lt(before_actions, 8);
	ck_assert_uint_eq(not_saved(&record_lease), before_actions + MAX_REGISTERS * of_write);
	ck_assert_uint_eq(not_saved(&record_client), 0);
	ck_assert_uint_eq(not_saved(&record_device), 0);
	ck_assert_uint_eq(not_saved(&record_start), 0);
}
END_TEST

/* The next process continues with it, and so does the one after that. */
START_TEST(one_process_after_another)
{
	struct state *state = state_new();

	chance_start();
	for (int i = 0; i < 3000; i++) {
		struct saved saved;
		struct state *next;

		random_step(state, &model, 30);
		if (chance_below(10))
			continue;
		next = load_again(state, &saved);
		ck_assert_ptr_nonnull(next);
		ck_assert(model_equals(&model, &saved));
		saved_free(&saved);
		state_free(state);
		state = next;
	}
	state_free(state);
}
END_TEST

/* Runs the older version on the state. */
static void run_older(const struct state *state, const char *what)
{
	char fd[16];
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (!child) {
		snprintf(fd, sizeof(fd), "%d", dup(state_fd(state)));
		execl(OLDER, OLDER, fd, what, NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "older %s: status %#x", what, status);
}

/* What the older version has done to the leases. */
static void expect_change(struct model *changed)
{
	for (size_t i = 1; i < changed->nr_leases; i++) {
		changed->leases[i].phase = LEASE_ENDING;
		changed->leases[i].end = END_REVOKED;
		changed->leases[i].expires = 299;
	}
	changed->nr_leases--;
	memmove(changed->leases, changed->leases + 1,
		changed->nr_leases * sizeof(changed->leases[0]));
}

START_TEST(downgrade_and_upgrade)
{
	struct state *state = state_new();
	struct saved saved;
	struct state *next;

	chance_start();
	save_start(state, model.start = 7);
	for (int i = 0; i < 20; i++) {
		model.leases[model.nr_leases] = random_lease(i + 1);
		model.leases[model.nr_leases].max_seconds |= 1;
		model.devices[i % 4] = random_device(i % 4);
		ck_assert_works(state_reserve(state, 2));
		save_lease(state, &model.leases[model.nr_leases++]);
		save_device(state, &model.devices[i % 4]);
		model.nr_devices += model.nr_devices < 4;
	}
	check_state(state, &model);
	/* It keeps unknown fields, also of records that it changes. */
	for (int round = 0; round < 3; round++) {
		run_older(state, "change");
		expect_change(&model);
		check_state(state, &model);
		/* The next one writes all of it again. */
		next = load_again(state, &saved);
		ck_assert_ptr_nonnull(next);
		for (size_t i = 0; i < model.nr_leases; i++) {
			change_lease(&model.leases[i]);
			model.leases[i].max_seconds++;
			ck_assert_works(state_reserve(next, 1));
			save_lease(next, &model.leases[i]);
		}
		saved_free(&saved);
		state_free(next);
		check_state(state, &model);
	}
	state_free(state);
}
END_TEST

START_TEST(upgrade_and_downgrade)
{
	struct state *state = state_new();
	struct saved saved;
	struct state *next;

	run_older(state, "create");
	next = load_again(state, &saved);
	ck_assert_ptr_nonnull(next);
	ck_assert_uint_eq(saved.start, 1);
	ck_assert_uint_eq(saved.nr_leases, 2);
	for (size_t i = 0; i < 2; i++) {
		struct lease_record *lease = &saved.leases[i];

		ck_assert_uint_eq(lease->id, i + 1);
		ck_assert_str_eq(lease->slice, "nic/doorbell");
		ck_assert_uint_eq(lease->actions.writes[0].width, 32);
		/* Fields that it does not know. */
		ck_assert_uint_eq(lease->max_seconds, 0);
		ck_assert_uint_eq(lease->actions.reset, RESET_NOT);
		ck_assert_uint_eq(lease->actions.writes[0].value, 0);
		lease->max_seconds = 60;
		lease->actions.reset = RESET_WHEN_IDLE;
		lease->actions.writes[0].value = 1ULL << 40;
		ck_assert_works(state_reserve(next, 1));
		save_lease(next, lease);
		model.leases[i] = *lease;
	}
	saved_free(&saved);
	state_free(next);
	model.start = 1;
	model.nr_leases = 2;
	check_state(state, &model);
	run_older(state, "change");
	expect_change(&model);
	check_state(state, &model);
	state_free(state);
}
END_TEST

/* A state with a record of any bytes. */
static struct state *raw(const void *bytes, size_t size)
{
	struct reader from = { bytes, size };
	struct ledger *ledger = ledger_new();
	struct state *state;
	struct saved saved;
	struct writer to;
	struct key key = ledger_key(bytes, 0);
	struct item map;
	size_t at = 0, key_size = 0;

	ck_assert_ptr_nonnull(ledger);
	if (read_item(&from, &map)) {
		at = from.at - (const uint8_t *)bytes;
		for (int i = 0; i < 4 && read_over(&from); i++)
			key_size = from.at - (const uint8_t *)bytes - at;
		key = ledger_key((const uint8_t *)bytes + at, key_size);
	}
	ck_assert_works(ledger_reserve(ledger, size, 1));
	to = ledger_writer(ledger);
	write_encoded(&to, bytes, size);
	ck_assert(!to.full);
	ck_assert_works(ledger_append(ledger, to.at, at, &key, ledger_find(ledger, &key), false));
	state = state_load(dup(ledger->fd), &saved);
	if (!state)
		ck_assert_int_eq(errno, EBADMSG);
	saved_free(&saved);
	ledger_free(ledger);
	return state;
}

static void check_refused(const char *what, const void *bytes, size_t size)
{
	struct state *state = raw(bytes, size);

	ck_assert_msg(!state, "%s is accepted", what);
}

#define CLIENT		"\x61t\x66" "client\x62id"	/* t: client, id: */
#define REFUSED(what, bytes)	check_refused(what, bytes, sizeof(bytes) - 1)

START_TEST(malformed_records)
{
	struct state *state;

#define GOOD	"\xa3" CLIENT "\x07\x64name\x42xy"
	state = raw(GOOD, sizeof(GOOD) - 1);
	ck_assert_ptr_nonnull(state);
	state_free(state);
	REFUSED("nothing", "");
	REFUSED("a number", "\x07");
	REFUSED("an empty map", "\xa0");
	REFUSED("a map without a key", "\xa1\x61t\x66" "client");
	REFUSED("a type that comes second", "\xa3\x62id\x07\x61t\x66" "client\x64name\x42xy");
	REFUSED("a type that is a number", "\xa3\x61t\x05\x62id\x07\x64name\x42xy");
	REFUSED("a map that is longer", "\xa4" CLIENT "\x07\x64name\x42xy");
	REFUSED("bytes after the map", GOOD "\x01");
	REFUSED("a key that is a number", "\xa4" CLIENT "\x07\x64name\x42xy\x01\x02");
	REFUSED("a map without end", "\xbf" CLIENT "\x07\x64name\x42xy\xff");
	REFUSED("a name that is text", "\xa3" CLIENT "\x07\x64name\x62xy");
	REFUSED("a name with a NUL", "\xa3" CLIENT "\x07\x64name\x42x\0");
	REFUSED("a name that is cut off", "\xa3" CLIENT "\x07\x64name\x59\xff\xffxy");
	REFUSED("a name without a NUL", "\xa3" CLIENT "\x07\x64name\x58\x40"
		"0123456789012345678901234567890123456789012345678901234567890123");
	REFUSED("an id that is negative", "\xa3" CLIENT "\x27\x64name\x42xy");
	REFUSED("an id that is 0", "\xa3" CLIENT "\x00\x64name\x42xy");
	REFUSED("an id that is longer than it must be", "\xa3" CLIENT "\x18\x07\x64name\x42xy");
	REFUSED("an id twice", "\xa3" CLIENT "\x07\x62id\x08");
	REFUSED("an unknown item without end", "\xa3" CLIENT "\x07\x61x\x9f\xff");
	REFUSED("an unknown item that only begins", "\xa3" CLIENT "\x07\x61x\x9f");
	REFUSED("an array of too many", "\xa3" CLIENT "\x07\x61x\x9b\xff\xff\xff\xff\xff\xff\xff\xff");
	REFUSED("a map of too many", "\xa3" CLIENT "\x07\x61x\xbb\x80\0\0\0\0\0\0\0");
	REFUSED("a key twice", "\xa3\x61t\x66" "device\x63" "bdf\x41x\x63" "bdf\x41y");
	REFUSED("a number for a yes", "\xa3\x61t\x66" "device\x63" "bdf\x41x\x68prepared\x01");
	REFUSED("a device without a name", "\xa3\x61t\x66" "device\x63" "bdf\x40\x68prepared\xf5");
	REFUSED("the start 0", "\xa3\x61t\x65start\x66number\x00\x65start\x00");
	REFUSED("a second start", "\xa3\x61t\x65start\x66number\x01\x65start\x05");
}
END_TEST

/* Whole, but for its phase and, in a map of 8 pairs, its actions. */
#define LEASE(pairs)	pairs "\x61t\x65lease\x62id\x01\x66length\x10\x65" "count\x01\x63" "bdf\x41" "b" \
			"\x65slice\x41s"
#define ACTIONS		LEASE("\xa8") "\x65phase\x03\x67" "actions"
#define WRITE		"\xa1\x65width\x08"
#define WRITES		WRITE WRITE WRITE WRITE

START_TEST(malformed_leases)
{
	struct state *state;

#define GOOD_LEASE	ACTIONS "\xa1\x66writes\x90" WRITES WRITES WRITES WRITES
	state = raw(GOOD_LEASE, sizeof(GOOD_LEASE) - 1);
	ck_assert_ptr_nonnull(state);
	state_free(state);
	REFUSED("a phase of 64 bits", LEASE("\xa7") "\x65phase\x1b\0\0\0\x01\0\0\0\x03");
	REFUSED("one register too many", ACTIONS "\xa1\x66writes\x91" WRITES WRITES WRITES WRITES WRITE);
	REFUSED("registers that are cut off", ACTIONS "\xa1\x66writes\x90" WRITES WRITES WRITES);
	REFUSED("actions that are an array", ACTIONS "\x80");
	REFUSED("registers that are a map", ACTIONS "\xa1\x66writes\xa0");
}
END_TEST

/* Of any type that CBOR has. */
#define EXOTIC	"\x64" "what\x88\x20\xf9\x3c\x00\xfa\0\0\0\0\xfb\0\0\0\0\0\0\0\0\xf6\xf7"	\
		"\xc1\x1a\0\0\0\x07\xa1\x01\x81\xa0"

static bool has(const struct ledger *ledger, const void *bytes, size_t size)
{
	return memmem(ledger->map + ledger->begin, ledger->end - ledger->begin, bytes, size);
}

/* Saves a client of which the state has an unknown field, and what else is in the log. */
START_TEST(unknown_of_any_type)
{
#define ODD	"\xa4" CLIENT "\x07" EXOTIC "\x64name\x42xy"
#define OTHER	"\xa4\x61t\x63" "new\x63key\xc1\x82\x01\x02" EXOTIC "\x61x\xf5"
	struct client_record client = { .id = 7, .name = "zz" };
	struct state *state = raw(ODD, sizeof(ODD) - 1);
	struct ledger *ledger;

	ck_assert_ptr_nonnull(state);
	for (int i = 0; i < 4000; i++) {
		ck_assert_works(state_reserve(state, 1));
		save_client(state, &client);
	}
	ledger = ledger_load(dup(state_fd(state)));
	ck_assert_ptr_nonnull(ledger);
	ck_assert_uint_eq(ledger->index.nr, 1);
	ck_assert(has(ledger, EXOTIC, sizeof(EXOTIC) - 1));
	ledger_free(ledger);
	model.clients[0] = client;
	model.nr_clients = 1;
	check_state(state, &model);
	forget_client(state, 7);
	save_client(state, &client);
	check_state(state, &model);
	/* The record was removed, and so were its unknown fields. */
	for (int i = 0; i < 4000; i++)
		save_client(state, &client);
	ledger = ledger_load(dup(state_fd(state)));
	ck_assert(!has(ledger, EXOTIC, sizeof(EXOTIC) - 1));
	ledger_free(ledger);
	state_free(state);
	/* A type that is not known is kept as it is. */
	state = raw(OTHER, sizeof(OTHER) - 1);
	ck_assert_ptr_nonnull(state);
	for (int i = 0; i < 4000; i++) {
		ck_assert_works(state_reserve(state, 1));
		save_client(state, &client);
	}
	ledger = ledger_load(dup(state_fd(state)));
	ck_assert_ptr_nonnull(ledger);
	ck_assert_uint_eq(ledger->index.nr, 2);
	ck_assert(has(ledger, OTHER, sizeof(OTHER) - 1));
	ledger_free(ledger);
	check_state(state, &model);
	state_free(state);
}
END_TEST

/* A good one, and then one thing that cannot be. */
static const struct lease_record good = {
	.id = 5, .phase = LEASE_GRANTED, .offset = 0x3000, .length = 0x1000, .bar = 5,
	.flags = 7, .wanted = 2, .index = 2, .count = 3, .bdf = "b", .slice = "s",
	.actions = { RESET_EACH_TIME, 2, { { 0xffc, 1, 32 }, { 0xff8, 1, 64 } } },
};

static bool is_accepted(const struct lease_record *lease)
{
	struct state *state = state_new(), *next;
	struct saved saved;

	save_lease(state, lease);
	next = load_again(state, &saved);
	if (!next)
		ck_assert_int_eq(errno, EBADMSG);
	saved_free(&saved);
	state_free(next);
	state_free(state);
	return next;
}

#define REFUSED_LEASE(...)						\
do {									\
	struct lease_record lease = good;				\
									\
	__VA_ARGS__;							\
	ck_assert_msg(!is_accepted(&lease), "accepted: %s", #__VA_ARGS__);	\
} while (0)

START_TEST(nonsense_in_leases)
{
	ck_assert(is_accepted(&good));
	REFUSED_LEASE(lease.id = 0);
	REFUSED_LEASE(lease.phase = 0);
	REFUSED_LEASE(lease.phase = LEASE_ENDED + 1, lease.end = END_CLIENT);
	REFUSED_LEASE(lease.phase = LEASE_ENDING, lease.end = END_TIMEOUT + 1);
	REFUSED_LEASE(lease.phase = LEASE_ENDING);
	REFUSED_LEASE(lease.end = END_RELEASED);
	REFUSED_LEASE(lease.phase = LEASE_WAITING, lease.end = END_RELEASED);
	REFUSED_LEASE(lease.bar = 6);
	REFUSED_LEASE(lease.flags = 16);
	/* An interrupt is that of a queue, which is in memory. */
	REFUSED_LEASE(lease.flags = 8);
	REFUSED_LEASE(lease.count = 0);
	REFUSED_LEASE(lease.index = 3);
	REFUSED_LEASE(lease.wanted = 3);
	REFUSED_LEASE(lease.length = 0);
	REFUSED_LEASE(lease.length = UINT64_MAX / 2);
	REFUSED_LEASE(lease.offset = UINT64_MAX - 0x1000);
	REFUSED_LEASE(lease.offset = 0x1fff);
	REFUSED_LEASE(lease.bdf[0] = '\0');
	REFUSED_LEASE(lease.slice[0] = '\0');
	REFUSED_LEASE(lease.actions.reset = RESET_EACH_TIME + 1);
	REFUSED_LEASE(lease.actions.writes[0].width = 0);
	REFUSED_LEASE(lease.actions.writes[0].width = 24);
	REFUSED_LEASE(lease.actions.writes[0].offset = 0xffd);
	REFUSED_LEASE(lease.actions.writes[1].offset = UINT64_MAX);
	REFUSED_LEASE(lease.length = 4);
}
END_TEST

/* More registers than there is room for; and names without a NUL end at their size. */
START_TEST(structures_that_are_not_whole)
{
	struct lease_record lease = good;
	struct saved saved;
	struct state *state = state_new(), *next;

	memset(lease.slice, 's', sizeof(lease.slice));
	lease.actions.nr = UINT32_MAX;
	for (int i = 0; i < MAX_REGISTERS; i++)
		lease.actions.writes[i] = good.actions.writes[0];
	save_lease(state, &lease);
	next = load_again(state, &saved);
	ck_assert_ptr_nonnull(next);
	ck_assert_uint_eq(strlen(saved.leases[0].slice), 63);
	ck_assert_uint_eq(saved.leases[0].actions.nr, MAX_REGISTERS);
	saved_free(&saved);
	state_free(next);
	state_free(state);
}
END_TEST

static void count_effect(void *shell, const struct effect *effect)
{
	/* Reading the data that it points to is the test. */
	if (effect->saved_lease)
		*(size_t *)shell += strlen(effect->saved_lease->slice);
	++*(size_t *)shell;
}

/* Half of it right, and half of it anything. */
static struct lease_record any_lease(uint64_t id)
{
	struct lease_record lease = random_lease(id);

	lease.client = 1 + chance_below(4);
	lease.asker = chance_below(6);
	snprintf(lease.bdf, sizeof(lease.bdf), "%04x:00:00.0", chance_below(3));
	if (chance_below(2))
		lease.phase = 1 + chance_below(5);
	if (chance_below(4) == 0)
		lease.end = chance_below(END_TIMEOUT + 1);
	if (chance_below(2)) {
		lease.offset = chance_below(16);
		lease.length = 1 + chance_below(16);
		lease.count = chance_below(8);
		lease.index = chance_below(8);
		lease.wanted = chance_below(8) - 1;
		lease.actions.nr = 0;
	}
	return lease;
}

/* The core can continue from every state that can be loaded, also without a configuration. */
START_TEST(what_is_accepted_can_be_restored)
{
	static const struct identity who = { .uid = 1000 };
	size_t leases = 0, effects = 0;

	chance_start();
	for (int i = 0; i < 500; i++) {
		struct restored_client clients[3];
		struct restored restored = { .clients = clients, .nr_clients = 3 };
		struct state *state = state_new();
		struct saved saved;
		struct state *next;
		struct core *core;

		save_start(state, 1 + chance_below(5));
		for (int j = 0; j < 10; j++) {
			struct lease_record lease = any_lease(1 + chance_below(20));

			if (!record_lease.is_valid(&lease))
				continue;
			ck_assert_works(state_reserve(state, 1));
			save_lease(state, &lease);
		}
		next = load_again(state, &saved);
		ck_assert_ptr_nonnull(next);
		for (int j = 0; j < 3; j++)
			clients[j] = (struct restored_client){ { .id = j + 1 }, 1000, &who };
		restored.start = saved.start;
		restored.leases = saved.leases;
		restored.nr_leases = saved.nr_leases;
		leases += saved.nr_leases;
		core = core_new(NULL, count_effect, &effects);
		ck_assert_works(core_restore(core, 1000, &restored));
		for (int j = 0; j < 10; j++)
			core_handle(core, 1000ULL << 5 * j, &(struct event){ .type = EVENT_TIME });
		core_free(core);
		saved_free(&saved);
		state_free(next);
		state_free(state);
	}
	ck_assert_uint_gt(leases, 500);
	ck_assert_uint_gt(effects, leases);
}
END_TEST

/* The state of the greatest start, with any others. */
START_TEST(newest_of_some)
{
	struct state *states[3], *newest;
	struct saved saved;
	int fds[4];

	for (int i = 0; i < 3; i++) {
		states[i] = state_new();
		save_start(states[i], i == _i ? 9 : i + 1);
		fds[i] = dup(state_fd(states[i]));
	}
	fds[3] = memfd_create("damaged", MFD_CLOEXEC);
	newest = state_load_newest(fds, 4, &saved);
	ck_assert_ptr_nonnull(newest);
	ck_assert_uint_eq(saved.start, 9);
	ck_assert_int_eq(state_fd(newest), fds[_i]);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(fcntl(fds[i], F_GETFD) >= 0, i == _i);
	saved_free(&saved);
	state_free(newest);
	for (int i = 0; i < 3; i++)
		state_free(states[i]);
	ck_assert_ptr_null(state_load_newest(NULL, 0, &saved));
	ck_assert_int_eq(errno, ENOENT);
	fds[0] = memfd_create("damaged", MFD_CLOEXEC);
	ck_assert_ptr_null(state_load_newest(fds, 1, &saved));
	ck_assert_int_eq(errno, EBADMSG);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker-state");
	TCase *tc = add_group(s, "state");

	tcase_add_test(tc, nothing);
	tcase_add_test(tc, every_field);
	tcase_add_test(tc, nothing_is_left_out);
	tcase_add_test(tc, one_process_after_another);
	tcase_add_test(tc, downgrade_and_upgrade);
	tcase_add_test(tc, upgrade_and_downgrade);
	tcase_add_test(tc, unknown_of_any_type);
	tcase_add_test(tc, malformed_records);
	tcase_add_test(tc, malformed_leases);
	tcase_add_test(tc, nonsense_in_leases);
	tcase_add_test(tc, structures_that_are_not_whole);
	tcase_add_test(tc, what_is_accepted_can_be_restored);
	tcase_add_loop_test(tc, newest_of_some, 0, 3);
	return s;
}
