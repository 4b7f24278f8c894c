/* SPDX-License-Identifier: MIT */
/* Calls that must not be delayed. */
#ifndef TESTS_PROMPT_H
#define TESTS_PROMPT_H

#include "suite.h"

/* Seconds, from some time on. */
double now(void);

/*
 * What no client may make a call take longer than.  It is much, as machines
 * with emulated processors are slow, and debug kernels three times as slow.
 */
double bound(void);

/* Whether a call succeeded in time; shows how long it took. */
#define ck_assert_prompt(call) do {					\
	double ck_begin = now();					\
	ck_assert_works(call);						\
	ck_assert_msg(now() - ck_begin < bound(), "%s took %.2f s", #call, \
		      now() - ck_begin);				\
} while (0)

#endif
