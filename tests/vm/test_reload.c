// SPDX-License-Identifier: MIT
/* A new configuration holds for the leases that there are, or is not taken. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "manager.h"
#include "suite.h"

static pid_t broker;

/* What is said of slice "a"; slice "b" is always the same. */
static void configure(const char *a)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "device \"mem\" {\n"
		 "	bdf = \"@IVSHMEM@\"\n"
		 "	reset = never\n"
		 "	slice \"a\" { bar = 2 users = { \"*\" } %s }\n"
		 "	slice \"b\" { bar = 2 offset = 0x400000 length = 0x1000 users = { \"*\" } }\n"
		 "}\n", a);
	broker_configure(text);
}

static void start_with(const char *a)
{
	configure(a);
	broker = broker_start();
}

static void reload_with(const char *a)
{
	configure(a);
	kill(broker, SIGHUP);
	manager_wait_ready();
}

static void setup(void)
{
	unlink(BROKER_LOG);
	manager_init();
}

static void teardown(void)
{
	broker_stop(broker, SIGTERM);
}

START_TEST(time_is_limited_from_now_on)
{
	struct vdb_client *client;
	struct vdb_lease a, b;

	start_with(_i ? "length = 0x1000 max_seconds = 1000" : "length = 0x1000");
	client = broker_connect();
	a = broker_acquire(client, "mem/a", 0);
	b = broker_acquire(client, "mem/b", 0);
	reload_with("length = 0x1000 max_seconds = 1");
	broker_expect(client, a.id, VDB_REVOKED, VDB_END_EXPIRED);
	ck_assert_works(vdb_client_release(client, b.id));
}
END_TEST

/* A longer time is for those who ask for it. */
START_TEST(time_that_is_left_stays)
{
	struct vdb_client *client;
	struct vdb_lease a;

	start_with("length = 0x1000 max_seconds = 1");
	client = broker_connect();
	a = broker_acquire(client, "mem/a", 0);
	reload_with("length = 0x1000 max_seconds = 1000");
	broker_expect(client, a.id, VDB_REVOKED, VDB_END_EXPIRED);
}
END_TEST

START_TEST(shared_becomes_exclusive)
{
	struct vdb_client *clients[2];
	struct vdb_lease leases[2];

	start_with("length = 0x1000 sharing = shared");
	for (int i = 0; i < 2; i++) {
		clients[i] = broker_connect();
		leases[i] = broker_acquire(clients[i], "mem/a", 0);
	}
	reload_with("length = 0x1000 sharing = exclusive");
	for (int i = 0; i < 2; i++)
		broker_expect(clients[i], leases[i].id, VDB_REVOKED, VDB_END_REVOKED);
	broker_acquire(clients[0], "mem/a", 0);
}
END_TEST

START_TEST(attribute_changes)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	start_with("length = 0x1000 memory = \"write-combining\"");
	client = broker_connect();
	lease = broker_acquire(client, "mem/a", 0);
	reload_with("length = 0x1000 memory = \"uncached\"");
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_REVOKED);
	lease = broker_acquire(client, "mem/a", 0);
	ck_assert_uint_eq(vdb_slice_flags(lease.slice), 0);
}
END_TEST

START_TEST(impossible_slice_is_refused)
{
	static const char *const impossible[] = {
		"length = 0x1000 offset = 0x1000000",	/* the BAR ends there */
		"length = 0x1000 count = 4096 offset = 0x800000",
	};
	struct vdb_client *client;
	struct vdb_lease lease;

	start_with("length = 0x1000");
	client = broker_connect();
	lease = broker_acquire(client, "mem/a", 0);
	reload_with(impossible[_i]);
	ck_assert(broker_logged("mem/a: it ends at"));
	ck_assert(broker_logged("the configuration stays as it was"));
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_acquire(client, "mem/a", 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("reload");
	TCase *tc = add_group(s, "reload");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, time_is_limited_from_now_on, 0, 2);
	tcase_add_test(tc, time_that_is_left_stays);
	tcase_add_test(tc, shared_becomes_exclusive);
	tcase_add_test(tc, attribute_changes);
	tcase_add_loop_test(tc, impossible_slice_is_refused, 0, 2);
	return s;
}
