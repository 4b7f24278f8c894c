// SPDX-License-Identifier: MIT
/* The Python package with real devices and the broker: tests/vm/bindings.py. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lender.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "survivor.h"
#include "sysfs.h"

/* Seconds.  It takes a few, but with other guests on the machine, or the debug kernel, many. */
#define LIMIT	200

/* Whether a line says that a check has failed, or why the program has ended. */
static bool tells_failure(const char *line)
{
	static const char *const starts[] = { "not ok", "Traceback", "Fatal", "Timeout", "  File" };

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (!strncmp(line, starts[i], strlen(starts[i])))
			return true;
	return strstr(line, "Error: ") && strncmp(line, "ok ", strlen("ok "));
}

/*
 * Its lines go to stderr; those that tell a failure are also the test's message, as
 * comments, because they look like a result of this program's.
 */
static void run(const char *arguments)
{
	char command[256], line[1024], failure[4096] = "";
	size_t length = 0;
	FILE *output;
	int status;

	snprintf(command, sizeof(command), "python3 /lab/bindings.py %s 2>&1", arguments);
	output = popen(command, "r");
	ck_assert_ptr_nonnull(output);
	while (fgets(line, sizeof(line), output)) {
		fputs(line, stderr);
		if (tells_failure(line) && length < sizeof(failure))
			length += snprintf(failure + length, sizeof(failure) - length, "# %s", line);
	}
	status = pclose(output);
	ck_assert_msg(status == 0, "status %#x\n%s", status, failure);
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

START_TEST(interrupt)
{
	run("interrupt " MANAGER_SOCKET);
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

	/* Longer than bindings.py waits until it says where it is. */
	tcase_set_timeout(tc, LIMIT);
	tcase_add_test(tc, owner);

	tc = add_group(s, "broker");
	tcase_set_timeout(tc, LIMIT);
	tcase_add_checked_fixture(tc, lender_start, lender_stop);
	tcase_add_test(tc, client);
	tcase_add_test(tc, tasks);
	tcase_add_test(tc, example);
	tcase_add_test(tc, broker_is_killed);

	tc = add_group(s, "queues");
	tcase_set_timeout(tc, LIMIT);
	if (!page_too_large())
		tcase_add_checked_fixture(tc, lender_start_queues, lender_stop);
	add_test_or_skip(tc, interrupt, page_too_large());
	return s;
}
