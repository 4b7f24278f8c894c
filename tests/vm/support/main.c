// SPDX-License-Identifier: MIT
/* Runs a test program's suite and prints TAP, one process for each test. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "suite.h"

/* Emulated machines are slow, and debug kernels slower still. */
#define DEFAULT_TIMEOUT "60"

static void nothing(int i)
{
	(void)i;
}

TCase *add_group(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	suite_add_tcase(s, tc);
	return tc;
}

void add_test_or_skip(TCase *tc, const TTest *test, const char *reason)
{
	TTest *skipped;
	char *name;

	if (!reason) {
		tcase_add_test(tc, test);
		return;
	}

	/* libcheck prints the name, and TAP readers see the directive in it. */
	skipped = malloc(sizeof(*skipped));
	if (!skipped || asprintf(&name, "%s # SKIP %s", test->name, reason) < 0)
		abort();
	*skipped = *test;
	skipped->name = name;
	skipped->fn = nothing;
	tcase_add_test(tc, skipped);
}

int main(void)
{
	SRunner *runner;
	int failed;

	/* Orphans of a test's processes come to us, and not to the lab. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("CK_DEFAULT_TIMEOUT", DEFAULT_TIMEOUT, 0);

	runner = srunner_create(suite());
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	/* libcheck has killed them; one that does not die is worth a timeout. */
	while (wait(NULL) > 0)
		;
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
