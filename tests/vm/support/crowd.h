/* SPDX-License-Identifier: MIT */
/* Processes of an unprivileged user, each of which does one thing over and over. */
#ifndef TESTS_CROWD_H
#define TESTS_CROWD_H

#include <sys/types.h>

struct crowd;

/* One round of a member's work; @fd is the member's own, or -1. */
typedef void crowd_fn(int fd);

/*
 * Starts a number of processes.  Each keeps one fd of the test, @fds[its number], and
 * no other; @fds may be NULL.
 */
struct crowd *crowd_start(unsigned int members, crowd_fn *work, const int *fds);
/* Returns when each has come to the end of a round. */
void crowd_wait(struct crowd *c);
unsigned int crowd_members(const struct crowd *c);
pid_t crowd_pid(const struct crowd *c, unsigned int member);
/* Stops them all, and lets them run again. The former waits until they are stopped. */
void crowd_stop(struct crowd *c);
void crowd_continue(struct crowd *c);
/* Ends them, and waits for that. */
void crowd_end(struct crowd *c);

#endif
