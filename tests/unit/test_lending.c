// SPDX-License-Identifier: MIT
/* What the core does with requests and leases, event by event. */
#include <string.h>
#include <time.h>

#include "steps.h"

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
		{ LEASE_GRANTED, true, live, 1, "start open", "send:state" },
		{ LEASE_GRANTED, true, revoked, 1, "start open", "save:ending revoke" },
		{ LEASE_GRANTED, true, strange, 2, "start open", "save-device revoke save:ending close" },
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

	starts(&restored, "start open");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .suspended = true,
				.buffers = &live, .nr_buffers = 1 }, "send:suspended");
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true }, "");
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

Suite *suite(void)
{
	Suite *s = suite_create("lending");
	TCase *tc = add_group(s, "lending");

	tcase_add_test(tc, lent_and_released);
	tcase_add_test(tc, greets_twice);
	tcase_add_test(tc, not_sent);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, waits_for_its_turn);
	tcase_add_test(tc, time_is_over);
	tcase_add_test(tc, actions_fail);
	tcase_add_loop_test(tc, goes_on, 0, 8);
	tcase_add_loop_test(tc, reload_and_leases, 0, 11);
	tcase_add_test(tc, root_revokes);
	tcase_add_test(tc, leases_are_renewed);
	tcase_add_test(tc, waits_behind_nobody_else);
	tcase_add_test(tc, all_groups_count);
	tcase_add_test(tc, time_goes_on);
	tcase_add_test(tc, a_request_counts_once);
	tcase_add_loop_test(tc, many_wait_for_any, 0, 2);
	return s;
}
