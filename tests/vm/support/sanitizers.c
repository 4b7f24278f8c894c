// SPDX-License-Identifier: MIT
/*
 * What sanitizers leave alone in the guest's tests, where those are built with them:
 * signals, which are what many tests are about, and what a test has not given back
 * when it ends, with which its process ends as well.  (That the library gives back
 * what it should is for the unit tests to see.)
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "handle_sigbus=0:handle_segv=0:detect_leaks=0";
}
