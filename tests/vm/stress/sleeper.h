/* SPDX-License-Identifier: MIT */
/*
 * Puts the system to sleep, with the kernel's test mode: it freezes the processes, or
 * suspends the devices as well, and resumes.
 */
#ifndef STRESS_SLEEPER_H
#define STRESS_SLEEPER_H

#include <stdint.h>

/* Why it cannot, NULL if it can. */
const char *sleeper_missing(void);
/* The process; until the end of the run. */
void sleeper_run(uint64_t seed) __attribute__((noreturn));

#endif
