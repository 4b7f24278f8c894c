// SPDX-License-Identifier: MIT
/* What users can have, event by event: limits, kept places, and a broker without a catalogue. */
#include "steps.h"

static void ignore(void *shell, const struct effect *effect)
{
	(void)shell, (void)effect;
}

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

/* The user could have another lease, but not on this connection. */
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
	ck_assert_str_eq(said, "start open");
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .buffers = &listed,
				.nr_buffers = 1 }, "send:state");
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

Suite *suite(void)
{
	Suite *s = suite_create("lending");
	TCase *tc = add_group(s, "lending");

	tcase_add_test(tc, kept_places);
	tcase_add_test(tc, limits_of_a_user);
	tcase_add_test(tc, limit_of_a_connection);
	tcase_add_test(tc, the_idle_make_room);
	tcase_add_test(tc, without_a_catalogue);
	tcase_add_test(tc, root_is_let_in_without_a_catalogue);
	return s;
}
