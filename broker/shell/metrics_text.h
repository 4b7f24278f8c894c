/* SPDX-License-Identifier: MIT */
/*
 * Metrics as text, in the OpenMetrics format.  The text is also valid in Prometheus'
 * older format, which collectors of text files read.  So there are only gauges and
 * counters.
 */
#ifndef SHELL_METRICS_TEXT_H
#define SHELL_METRICS_TEXT_H

#include "core/core.h"
#include "shell/counters.h"

struct devices;

/* What metrics are made from. */
struct metrics_view {
	const struct core *core;
	const struct devices *devices;
	const struct counters *counters;
	uint64_t now;			/* microseconds of CLOCK_BOOTTIME */
	bool rejected;			/* the configuration had mistakes when it was last read */
};

/* The caller frees it.  @size: without the NUL.  NULL: no memory. */
char *metrics_text(const struct metrics_view *view, size_t *size);

#endif
