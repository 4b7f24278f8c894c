/* SPDX-License-Identifier: MIT */
/* Where the kernel takes the processor from a process. */
#ifndef TESTS_PREEMPT_H
#define TESTS_PREEMPT_H

/*
 * Anywhere outside of spinlocks, instead of in some places only, as on Debian;
 * and as it was.  A kernel that cannot change it stays as it is.  Called in the
 * parent of the tests.
 */
void preempt_anywhere(void);
void preempt_restore(void);

#endif
