// SPDX-License-Identifier: MIT
/*
 * Options of sanitizers for the guest's tests that are built with them.  They must not
 * handle signals, which many tests are about.  They must not report what a test has not
 * freed at its end, because its process ends as well.  (The unit tests check that the
 * library frees what it should.)
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "handle_sigbus=0:handle_segv=0:detect_leaks=0";
}
