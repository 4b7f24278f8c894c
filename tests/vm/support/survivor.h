/* SPDX-License-Identifier: MIT */
/*
 * A client in another language: goes on when the broker is killed and comes back, and
 * is killed itself.
 *
 * The program acquires edu/page and reads a register of it all the time, in a thread.
 * It writes a byte when that works, and once more for each byte that it reads.
 */
#ifndef TESTS_SURVIVOR_H
#define TESTS_SURVIVOR_H

/* With the broker of lender.h.  The test fails if the program does not go on. */
void survivor_check(const char *const argv[]);

#endif
