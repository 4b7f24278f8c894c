/* SPDX-License-Identifier: MIT */
/*
 * The system's policy for transparent huge pages, which the kernel also asks
 * before it offers a 1 GiB page to a slice.  A kernel without them has no policy, and
 * these do nothing.
 */
#ifndef TESTS_POLICY_H
#define TESTS_POLICY_H

/* For fixtures that run once for a group of tests. */
void policy_always(void);
void policy_never(void);
/* Restores what it was before the first of these. */
void policy_restore(void);

#endif
