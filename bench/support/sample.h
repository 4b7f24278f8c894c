/* SPDX-License-Identifier: MIT */
/*
 * Measuring one thing on two sides in turn, and the record of it: the file
 * /lab/out/bench.samples, whose lines are
 *
 *	<measurement> <side> <runs> <median> <mean>
 *
 * one for each batch of runs, with "ours" or "base" for the side.
 */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <stdint.h>

/*
 * Instructions executed so far: under QEMU's icount, with one nanosecond for
 * each, a counter of 1 GHz is just that.
 */
static inline uint64_t instructions(void)
{
#ifdef __aarch64__
	uint64_t count;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(count) :: "memory");
	return count;
#else
	return __builtin_ia32_rdtsc();
#endif
}

/* Page faults that this process has taken so far. */
uint64_t faults(void);

#define MOST_COUNTS 4

struct measurement {
	/* One for each count that a run gives. */
	const char *names[MOST_COUNTS];
	/* One run on one side; stores the counts. */
	void (*run)(const void *side, uint64_t *counts);
	/* Before each batch of a side; may be NULL. */
	void (*prepare)(const void *side);
	unsigned int batches;
	unsigned int runs;	/* in each batch */
	unsigned int each;	/* operations that one count covers; 0 means 1 */
};

/*
 * Runs batches of the two sides in turn and records them.  Each batch starts
 * with a run that does not count.  @base is NULL if there is nothing to
 * compare with.
 */
void measure(const struct measurement *m, const void *ours, const void *base);

/* Only one side, "ours" or "base": of what cannot be both at the same time. */
void measure_one(const struct measurement *m, const char *name, const void *side);

/* Records a number that measure() did not produce. */
void record(const char *name, const char *side, unsigned int runs,
	    double median, double mean);

#endif
