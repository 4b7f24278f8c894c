/* SPDX-License-Identifier: MIT */
/* The clock that times of the broker are on. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

/* Microseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps. */
uint64_t clock_now(void);

#endif
