/* SPDX-License-Identifier: MIT */
/*
 * Puts the system to sleep, as far as the kernel's own test of it goes: it freezes the
 * processes, or suspends the devices as well, and comes back.
 */
#ifndef STRESS_SLEEPER_H
#define STRESS_SLEEPER_H

#include <stdint.h>

/* Why it cannot, NULL if it can. */
const char *sleeper_missing(void);
/* The process; until the end of the run. */
void sleeper_run(uint64_t seed) __attribute__((noreturn));

#endif
