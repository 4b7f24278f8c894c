/* SPDX-License-Identifier: MIT */
/* The broker, killed at one of its calls, and brought back as a service manager would. */
#ifndef TESTS_CRASH_H
#define TESTS_CRASH_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * From one call at which it is killed to the next.  All are tried on one kernel; the
 * others have no more to do with them than that revocation works, and get some.
 */
int crash_stride(void);
/*
 * Starts one that is killed at the @nth call of it; what runs in the end.  @died:
 * that was at the start already.
 */
pid_t crash_start(const char *call, int nth, bool *died);
/*
 * Which call of a broker, which has one device, is the first from where it sends a
 * slice on.  It starts a broker, and ends it.
 */
int crash_find_answer(const char *call, const char *slice);
/*
 * Waits for the test's clients, which must end without an error.  When one ends, the
 * others stop.  Returns whether the broker has died, and was restarted, meanwhile.
 */
bool crash_revive(pid_t *broker, const pid_t *clients, unsigned int nr, volatile bool *stop);
/* Ends it. No client has a lease, and the slice can be granted, as without a crash. */
void crash_check_peace(pid_t broker, const char *slice);

#endif
