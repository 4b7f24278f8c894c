// SPDX-License-Identifier: MIT
/* The Python package where no device is needed: its own tests, types and stubs. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "suite.h"

/* Seconds; what checks types reads all of Python's own first. */
#define LIMIT	110

/*
 * The interpreter is not built with sanitizers, so theirs is loaded before it.  It
 * keeps memory until it ends, which would be taken for leaks.  What a SIGBUS does is
 * what the tests are about.
 */
#define SANITIZED							\
	"LD_PRELOAD=$(cc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0 "

static void run(const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "exec 1>&2; cd " TESTS " && export PYTHONPATH=" PACKAGE ":" TESTS
		 " MYPYPATH=" PACKAGE ":" TESTS " PYTHONDONTWRITEBYTECODE=1; %s", command);
	ck_assert_int_eq(system(line), 0);
}

START_TEST(mappings)
{
	run(SANITIZED "python3 -X dev -W error -m unittest test_mapping");
}
END_TEST

START_TEST(clients)
{
	run(SANITIZED "python3 -X dev -W error -m unittest test_client");
}
END_TEST

START_TEST(package)
{
	run(SANITIZED "python3 -X dev -W error -m unittest test_package");
}
END_TEST

START_TEST(types)
{
	run("mypy --strict --cache-dir=" PACKAGE "/mypy -p vfio_dmabuf -m fake_broker -m test_mapping -m test_client"
	    " -m test_package");
}
END_TEST

/* _native.pyi says what _native has. */
START_TEST(declarations)
{
	run("MYPY_CACHE_DIR=" PACKAGE "/mypy " SANITIZED "stubtest vfio_dmabuf._native");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("python");
	TCase *tc = add_group(s, "package");

	tcase_set_timeout(tc, LIMIT);
	tcase_add_test(tc, mappings);
	tcase_add_test(tc, clients);
	tcase_add_test(tc, package);
	tcase_add_test(tc, types);
	tcase_add_test(tc, declarations);
	return s;
}
