// SPDX-License-Identifier: MIT
/* Measuring one thing on two sides in turn, and the record of it. */
#define _GNU_SOURCE
#include "sample.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "suite.h"

#define SAMPLES "/lab/out/bench.samples"

uint64_t faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

/*
 * 1000 instructions that take 1000 counts and the few of reading the counter,
 * unless an interrupt comes between; elsewhere time is counted, not them.
 */
static bool counts_instructions(void)
{
	uint64_t begin, count;
	int tries;

	for (tries = 0; tries < 10; tries++) {
		begin = instructions();
		__asm__ volatile(".rept 1000\n\tnop\n\t.endr" ::: "memory");
		count = instructions() - begin;
		if (count >= 1000 && count < 1010)
			return true;
	}
	return false;
}

void record(const char *name, const char *side, unsigned int runs,
	    double median, double mean)
{
	FILE *file = fopen(SAMPLES, "ae");

	ck_assert_msg(file, "%s: %s", SAMPLES, strerror(errno));
	fprintf(file, "%s %s %u %.3f %.3f\n", name, side, runs, median, mean);
	ck_assert_msg(!fclose(file), "%s: %s", SAMPLES, strerror(errno));
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static void record_batch(const char *name, const char *side, uint64_t *values,
			 unsigned int runs, unsigned int each)
{
	double sum = 0, median;
	unsigned int i;

	for (i = 0; i < runs; i++)
		sum += values[i];
	qsort(values, runs, sizeof(*values), compare);
	median = (values[(runs - 1) / 2] + values[runs / 2]) / 2.0;
	record(name, side, runs, median / each, sum / runs / each);
}

/*
 * Other processes, kernel threads among them, wait while a batch runs; what
 * interrupts do still counts.
 */
static void run_alone(bool alone)
{
	const struct sched_param first = { .sched_priority = 1 }, none = { 0 };

	ck_assert_works(sched_setscheduler(0, alone ? SCHED_FIFO : SCHED_OTHER,
					   alone ? &first : &none));
}

static void batch(const struct measurement *m, const char *name,
		  const void *side, uint64_t *values)
{
	uint64_t counts[MOST_COUNTS] = { 0 };
	unsigned int i, k;

	if (m->prepare)
		m->prepare(side);
	run_alone(true);
	m->run(side, counts);
	for (i = 0; i < m->runs; i++) {
		m->run(side, counts);
		for (k = 0; k < MOST_COUNTS; k++)
			values[k * m->runs + i] = counts[k];
	}
	run_alone(false);
	for (k = 0; k < MOST_COUNTS && m->names[k]; k++)
		record_batch(m->names[k], name, &values[k * m->runs], m->runs,
			     m->each ? m->each : 1);
}

static uint64_t *begin(const struct measurement *m)
{
	size_t size = MOST_COUNTS * m->runs * sizeof(uint64_t);
	uint64_t *values = malloc(size);

	ck_assert_ptr_nonnull(values);
	ck_assert_msg(counts_instructions(),
		      "this machine does not count instructions: QEMU must run with -icount shift=0, as make bench starts it");
	/* Also the sign of life that the lab waits for: the guest's clock is slow. */
	printf("# measuring %s\n", m->names[0]);
	/* Touch its pages before faults are counted. */
	memset(values, 0xff, size);
	return values;
}

void measure(const struct measurement *m, const void *ours, const void *base)
{
	uint64_t *values = begin(m);
	unsigned int i;

	for (i = 0; i < m->batches; i++) {
		if (base && i % 2)
			batch(m, "base", base, values);
		batch(m, "ours", ours, values);
		if (base && i % 2 == 0)
			batch(m, "base", base, values);
	}
	free(values);
}

void measure_one(const struct measurement *m, const char *name, const void *side)
{
	uint64_t *values = begin(m);
	unsigned int i;

	for (i = 0; i < m->batches; i++)
		batch(m, name, side, values);
	free(values);
}
