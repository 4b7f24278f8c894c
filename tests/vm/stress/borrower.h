/* SPDX-License-Identifier: MIT */
/*
 * A client: it maps the slices that come, reads and writes through them all the time,
 * and does with its mappings and itself what an unprivileged process can do.
 */
#ifndef STRESS_BORROWER_H
#define STRESS_BORROWER_H

#include <stdint.h>

/* Until the end of the run, or its own. */
void borrower_run(unsigned int worker, uint64_t seed) __attribute__((noreturn));

#endif
