/* SPDX-License-Identifier: MIT */
/*
 * Instructions without those of waiting.  While nothing else runs, a process counts; so the
 * processor is never idle, and what that process has executed can be taken off.
 */
#ifndef BENCH_IDLE_H
#define BENCH_IDLE_H

#include <stdint.h>

void idle_start(void);
/* As instructions(), without the waiting.  Other processes' work counts. */
uint64_t busy_instructions(void);

#endif
