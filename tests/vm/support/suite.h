/* SPDX-License-Identifier: MIT */
/* What a guest test program consists of: one suite() that support/main.c runs. */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <errno.h>
#include <string.h>

/* Each test program defines this. */
Suite *suite(void);

/* One group of tests; name it for the behaviour they share. */
TCase *add_group(Suite *s, const char *name);

/*
 * Adds a test that some kernels cannot run.  With a reason (what is missing)
 * it is reported as skipped, in the plan, instead of being absent.
 */
void add_test_or_skip(TCase *tc, const TTest *test, const char *reason);

/* Whether the call failed with exactly that errno; otherwise prints its result. */
#define ck_assert_fails(call, error) do {				\
	errno = 0;							\
	long ck_result = (long)(call);					\
	int ck_errno = errno;						\
	ck_assert_msg(ck_result == -1, "%s succeeded (%ld)", #call, ck_result); \
	ck_assert_msg(ck_errno == (error), "%s failed with %s, not %s",	\
		      #call, strerrorname_np(ck_errno), #error);	\
} while (0)

/* Whether the call succeeded; shows errno otherwise. */
#define ck_assert_works(call) do {					\
	long ck_result = (long)(call);					\
	ck_assert_msg(ck_result != -1, "%s failed: %s", #call,		\
		      strerrorname_np(errno));				\
} while (0)

#endif
