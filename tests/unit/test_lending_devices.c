// SPDX-License-Identifier: MIT
/* Devices that are opened, suspended, reset and lost, event by event. */
#include "steps.h"

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

	tcase_add_test(tc, hangs_when_it_is_opened);
	tcase_add_test(tc, suspension_before_the_grant_is_reported);
	tcase_add_test(tc, suspension_is_reported);
	tcase_add_loop_test(tc, wait_for_a_device_in_vain, 0, 2);
	tcase_add_loop_test(tc, reset_when_idle, 0, 2);
	tcase_add_test(tc, device_comes_back);
	return s;
}
