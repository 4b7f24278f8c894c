/* SPDX-License-Identifier: MIT */
/* The clock of all times in the broker. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

/* Microseconds of CLOCK_BOOTTIME, which also counts while the machine sleeps. */
uint64_t clock_now(void);

#endif
