/* SPDX-License-Identifier: MIT */
/* The guest has no udevd: a process that hands the kernel's events on, as that would. */
#ifndef TESTS_UDEV_H
#define TESTS_UDEV_H

/* Starts it; it ends with the test.  The test fails if it cannot. */
void udev_start(void);

#endif
