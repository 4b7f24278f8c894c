/* SPDX-License-Identifier: MIT */
/*
 * The broker with three devices, slices of all kinds and low limits,
 * for the test programs that ask for them.
 */
#ifndef TESTS_LENDER_H
#define TESTS_LENDER_H

#include <sys/types.h>

extern const char lender_config[];
/* Its process; a test that stops it puts another one here. */
extern pid_t lender;

/* Fixtures for each test of a group. */
void lender_start(void);
void lender_stop(void);

/*
 * Instead of lender_start(): NVMe queues for everybody, nvme/queue without and nvme/wakes with an
 * interrupt.  Needs pages of 4 KiB.
 */
void lender_start_queues(void);

#endif
