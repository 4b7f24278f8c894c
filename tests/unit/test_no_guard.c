// SPDX-License-Identifier: MIT
/*
 * The library on a CPU without guarded accesses: it builds, and reports that.  For this
 * program lib/guard.c is compiled as for such a CPU.
 */
#include <signal.h>
#include <stdbool.h>
#include <vfio-dmabuf.h>

#include "suite.h"

START_TEST(says_so)
{
	ck_assert(!vdb_guard_supported());
}
END_TEST

START_TEST(no_handler_is_installed)
{
	struct sigaction before, after;

	ck_assert_works(sigaction(SIGBUS, NULL, &before));
	ck_assert_fails(vdb_guard_enable(), ENOTSUP);
	ck_assert_works(sigaction(SIGBUS, NULL, &after));
	ck_assert(before.sa_handler == after.sa_handler);
}
END_TEST

/* Also if the access would work: a program that tests for it once can rely on that. */
START_TEST(accesses_fail_and_change_nothing)
{
	uint64_t memory = 5, qword = 4;
	uint32_t dword = 3;
	uint16_t word = 2;
	uint8_t byte = 1;

	ck_assert_fails(vdb_try_read8(&memory, &byte), ENOTSUP);
	ck_assert_fails(vdb_try_read16(&memory, &word), ENOTSUP);
	ck_assert_fails(vdb_try_read32(&memory, &dword), ENOTSUP);
	ck_assert_fails(vdb_try_read64(&memory, &qword), ENOTSUP);
	ck_assert_fails(vdb_try_write8(&memory, 0), ENOTSUP);
	ck_assert_fails(vdb_try_write16(&memory, 0), ENOTSUP);
	ck_assert_fails(vdb_try_write32(&memory, 0), ENOTSUP);
	ck_assert_fails(vdb_try_write64(&memory, 0), ENOTSUP);
	ck_assert_fails(vdb_try_copy_from(&qword, &memory, 8, 8, NULL), ENOTSUP);
	ck_assert_fails(vdb_try_copy_to(&memory, &qword, 8, 8, NULL), ENOTSUP);
	ck_assert(memory == 5 && byte == 1 && word == 2 && dword == 3 && qword == 4);
}
END_TEST

static bool handled = true;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	(void)number;
	handled = vdb_guard_handle(info, context);
}

START_TEST(faults_are_the_programs)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	ck_assert_works(sigaction(SIGBUS, &action, NULL));
	raise(SIGBUS);
	ck_assert(!handled);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("no_guard");
	TCase *tc = add_group(s, "without");

	tcase_add_test(tc, says_so);
	tcase_add_test(tc, no_handler_is_installed);
	tcase_add_test(tc, accesses_fail_and_change_nothing);
	tcase_add_test(tc, faults_are_the_programs);
	return s;
}
