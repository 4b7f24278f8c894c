// SPDX-License-Identifier: MIT
/* The Python package with real devices and the broker: tests/vm/bindings.py. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "lender.h"
#include "manager.h"
#include "suite.h"
#include "survivor.h"
#include "sysfs.h"

static void run(const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command), "python3 /lab/bindings.py %s 1>&2", arguments);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(owner)
{
	char arguments[128];

	snprintf(arguments, sizeof(arguments), "owner %s %s %s", lab_bdf("EDU"), lab_bdf("NVME"), lab_bdf("IVSHMEM"));
	run(arguments);
}
END_TEST

START_TEST(client)
{
	run("client " MANAGER_SOCKET);
}
END_TEST

/* The lease expires after a second, and then the slice cannot be accessed any more. */
START_TEST(example)
{
	char command[256], text[1024] = "";
	size_t got;
	FILE *worker;

	snprintf(command, sizeof(command), "python3 /lab/programs/worker.py edu/short 0 %s 2>&1", MANAGER_SOCKET);
	worker = popen(command, "r");
	ck_assert_ptr_nonnull(worker);
	got = fread(text, 1, sizeof(text) - 1, worker);
	text[got] = '\0';
	ck_assert_msg(pclose(worker) == 0, "%s", text);
	ck_assert_msg(strstr(text, "0x0: 0x") && strstr(text, "cannot be reached") &&
		      strstr(text, "has ended: expired"), "%s", text);
}
END_TEST

START_TEST(tasks)
{
	run("tasks " MANAGER_SOCKET);
}
END_TEST

START_TEST(broker_is_killed)
{
	survivor_check((const char *const[]){ "python3", "/lab/bindings.py", "survive", MANAGER_SOCKET, NULL });
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("python");
	TCase *tc = add_group(s, "owner");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, owner);

	tc = add_group(s, "broker");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, client);
	tcase_add_test(tc, tasks);
	tcase_add_test(tc, example);
	tcase_add_test(tc, broker_is_killed);
	return s;
}
