/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "common/clock.h"

uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}
