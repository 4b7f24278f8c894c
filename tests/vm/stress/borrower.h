/* SPDX-License-Identifier: MIT */
/*
 * A client: it maps the slices that it receives, reads and writes through them
 * continuously, and makes all calls on its mappings and its processes that an
 * unprivileged process can make.
 */
#ifndef STRESS_BORROWER_H
#define STRESS_BORROWER_H

#include <stdint.h>

/* Until the end of the run, or its own. */
void borrower_run(unsigned int worker, uint64_t seed) __attribute__((noreturn));

#endif
