// SPDX-License-Identifier: MIT
/* A new configuration holds for the leases that there are, or is not taken. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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

/* ---- what is done when a lease ends is what held when it was lent ---- */

#define A_PAGE	"slice \"a\" { bar = 2 length = 0x1000 users = { \"*\" } " \
		"quiesce = { \"0x0:32=0x11111111\" } }\n"
#define B_PAGE	"slice \"b\" { bar = 2 length = 0x1000 offset = 0x1000 users = { \"*\" } }\n"

static void configure_slices(const char *device, const char *bdf, const char *reset, const char *slices)
{
	char text[1024];

	snprintf(text, sizeof(text), "device \"%s\" { bdf = \"%s\" reset = %s\n %s }\n",
		 device, bdf, reset, slices);
	broker_configure(text);
}

/* By SIGHUP, or by a broker that is killed and started anew. */
static void change_configuration(bool restart)
{
	if (restart) {
		broker_stop(broker, SIGKILL);
		broker = broker_start();
	} else {
		kill(broker, SIGHUP);
		manager_wait_ready();
	}
}

START_TEST(registers_of_a_slice_that_changes)
{
	static const char *const changes[] = {
		/* moved, with other registers */
		"slice \"a\" { bar = 2 length = 0x1000 offset = 0x1000 users = { \"*\" }\n"
		"	quiesce = { \"0x10:32=0x22222222\" } }\n"
		"slice \"b\" { bar = 2 length = 0x1000 users = { \"*\" } }\n",
		/* larger, with registers where it was not */
		"slice \"a\" { bar = 2 length = 0x2000 users = { \"*\" }\n"
		"	quiesce = { \"0x1010:32=0x22222222\" } }\n",
		/* renamed */
		"slice \"c\" { bar = 2 length = 0x2000 users = { \"*\" } }\n",
	};
	static const char *const names[] = { "mem/b", "mem/a", "mem/c" };
	struct vdb_client *client, *other;
	struct vdb_lease a, b;
	char *map, *other_map;

	configure_slices("mem", "@IVSHMEM@", "never", A_PAGE B_PAGE);
	broker = broker_start();
	client = broker_connect();
	other = broker_connect();
	a = broker_acquire(client, "mem/a", 0);
	b = broker_acquire(other, "mem/b", 0);
	map = vdb_slice_map(a.slice, 0, 0, PROT_READ | PROT_WRITE);
	other_map = vdb_slice_map(b.slice, 0, 0, PROT_READ | PROT_WRITE);
	for (int at = 0; at < 0x20; at += 4) {
		vdb_write32(map + at, 0);
		vdb_write32(other_map + at, 0);
	}

	configure_slices("mem", "@IVSHMEM@", "never", changes[_i / 2]);
	change_configuration(_i % 2);
	broker_expect(client, a.id, VDB_REVOKED, VDB_END_REVOKED);
	broker_expect(other, b.id, VDB_REVOKED, VDB_END_REVOKED);
	a = broker_acquire(client, names[_i / 2], 0);
	map = vdb_slice_map(a.slice, 0, 0, PROT_READ | PROT_WRITE);
	ck_assert_uint_eq(vdb_read32(map), 0x11111111);
	ck_assert_uint_eq(vdb_read32(map + 0x10), 0);
	/* Nor is anything written that was another one's. */
	if (_i >= 2)
		ck_assert_uint_eq(vdb_read32(map + 0x1010), 0);
}
END_TEST

START_TEST(reset_of_a_slice_that_is_removed)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	configure_slices("nvme", "@NVME@", "always", "slice \"a\" { length = 0x1000 users = { \"*\" } }");
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "nvme/a", 0);
	map = vdb_slice_map(lease.slice, 0, 0, PROT_READ | PROT_WRITE);
	vdb_write32(map + 0x14, 0x00460000);
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0x00460000);

	configure_slices("nvme", "@NVME@", "never", "slice \"b\" { length = 0x1000 users = { \"*\" } }");
	change_configuration(_i);
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_REVOKED);
	lease = broker_acquire(client, "nvme/b", 0);
	map = vdb_slice_map(lease.slice, 0, 0, PROT_READ);
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0);
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

	tc = add_group(s, "hooks");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, registers_of_a_slice_that_changes, 0, 6);
	tcase_add_loop_test(tc, reset_of_a_slice_that_is_removed, 0, 2);
	return s;
}
