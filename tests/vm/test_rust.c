// SPDX-License-Identifier: MIT
/* The Rust crate; its tests are a program in Rust, tests/vm/rust, that lists them. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lender.h"
#include "page.h"
#include "suite.h"
#include "survivor.h"

#define PROGRAM		"/lab/rust-tests"
#define MAX_TESTS	128

static char names[MAX_TESTS][64];

START_TEST(rust_test)
{
	int status;
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid) {
		execl(PROGRAM, PROGRAM, names[_i], NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	/* It describes a failure on stderr. */
	ck_assert_msg(!WIFSIGNALED(status), "%s: signal %d", names[_i], WTERMSIG(status));
	ck_assert_msg(!WEXITSTATUS(status), "%s: exit %d", names[_i], WEXITSTATUS(status));
}
END_TEST

START_TEST(broker_is_killed)
{
	survivor_check((const char *const[]){ PROGRAM, "child", "survive", NULL });
}
END_TEST

/* libcheck gives a test the name of its function, and all of these have one function. */
static void add_named(TCase *tc, int index, const char *missing)
{
	TTest *test = malloc(sizeof(*test));

	if (!test)
		abort();
	*test = *rust_test;
	test->name = names[index];
	if (missing)
		add_test_or_skip(tc, test, missing);
	else
		tcase_add_loop_test(tc, test, index, index + 1);
}

Suite *suite(void)
{
	Suite *s = suite_create("rust");
	TCase *device = add_group(s, "device"), *broker = add_group(s, "broker"), *queues = add_group(s, "queues");
	FILE *list = popen(PROGRAM, "r");
	char group[64];
	int nr = 0;

	tcase_add_checked_fixture(broker, lender_start, lender_stop);
	tcase_add_test(broker, broker_is_killed);
	if (!page_too_large())
		tcase_add_checked_fixture(queues, lender_start_queues, lender_stop);
	while (list && nr < MAX_TESTS && fscanf(list, "%63s %63s", group, names[nr]) == 2) {
		if (!strcmp(group, "queues"))
			add_named(queues, nr, page_too_large());
		else
			add_named(!strcmp(group, "broker") ? broker : device, nr, NULL);
		nr++;
	}
	/* Without a list of tests, this program fails. */
	if (!list || pclose(list) || !nr || nr == MAX_TESTS) {
		fprintf(stderr, "%s did not list its tests\n", PROGRAM);
		exit(EXIT_FAILURE);
	}
	return s;
}
