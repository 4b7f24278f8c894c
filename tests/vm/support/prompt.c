// SPDX-License-Identifier: MIT
/* Calls that must not be delayed. */
#include "prompt.h"

#include <stdlib.h>
#include <time.h>

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

double bound(void)
{
	const char *timeout = getenv("CK_DEFAULT_TIMEOUT");
	const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");

	return (timeout ? atof(timeout) / 20 : 2) * (multiplier ? atof(multiplier) : 1);
}
