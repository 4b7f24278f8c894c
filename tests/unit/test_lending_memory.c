// SPDX-License-Identifier: MIT
/* Leases with memory, event by event. */
#include <string.h>

#include "steps.h"

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

Suite *suite(void)
{
	Suite *s = suite_create("lending");
	TCase *tc = add_group(s, "lending");

	tcase_add_test(tc, memory_is_unmapped_at_the_end);
	tcase_add_loop_test(tc, memory_that_cannot_be_unmapped, 0, 2);
	tcase_add_loop_test(tc, memory_of_a_failed_export, 0, 2);
	tcase_add_test(tc, limits_of_memory);
	tcase_add_test(tc, memory_in_another_configuration);
	return s;
}
