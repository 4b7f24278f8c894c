/* SPDX-License-Identifier: MIT */
/*
 * Prints how fast this machine's time stamp counter runs, in kHz, which is also
 * how fast QEMU's runs without KVM.  A guest finds that out with emulated timers,
 * which on a busy machine may go wrong by a factor of five, and then all its
 * time does.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define NS	100000000

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

int main(void)
{
	uint64_t begin = now(), end, ticks = __rdtsc();

	do {
		end = now();
	} while (end < begin + NS);
	ticks = __rdtsc() - ticks;
	printf("%llu\n", (unsigned long long)(ticks * 1000000 / (end - begin)));
	return 0;
}
