/* SPDX-License-Identifier: MIT */
/* The driver's trace events, recorded in a tracing instance of the tests' own. */
#ifndef TESTS_TRACE_H
#define TESTS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_event {
	char name[32];		/* "buffer_fault" */
	char fields[384];	/* "device=0000:00:03.0 bar=0 ..." */
};

/* Clears the record, and records from now on. */
void trace_start(void);
/* The record so far, oldest first; to be freed. */
size_t trace_read(struct trace_event **events);
/*
 * How many of the recorded events have that name and the text @match (may be
 * "") among their fields.
 */
unsigned int trace_count(const char *name, const char *match);
/* Faults of one BAR, which succeeded or not. */
unsigned int trace_faults(const char *bdf, unsigned int bar);

/* Value of a field; the test fails if the event has none such. */
uint64_t trace_number(const struct trace_event *event, const char *field);

#endif
