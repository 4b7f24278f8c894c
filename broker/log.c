/* SPDX-License-Identifier: MIT */
/*
 * The broker's log: to stderr.  Where that is the journal, or a pipe of the
 * service manager, lines begin with the priority that journald takes off
 * again (sd-daemon(3)).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

#define LINES_A_MINUTE	10

static int level = LOG_INFO;

void log_set_level(int priority)
{
	level = priority;
}

__attribute__((format(printf, 2, 0)))
static void write_line(int priority, const char *format, va_list args)
{
	char line[1024];

	if (priority > level)
		return;
	vsnprintf(line, sizeof(line), format, args);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "vfio-dmabufd: %s\n", line);
}

void log_line(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(priority, format, args);
	va_end(args);
}

void log_limited(struct log_limit *limit, int priority, const char *format, ...)
{
	struct timespec t;
	va_list args;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (t.tv_sec >= limit->begin.tv_sec + 60) {
		if (limit->lines > LINES_A_MINUTE)
			log_line(priority, "%u more lines of the kind that follows", limit->lines - LINES_A_MINUTE);
		limit->begin = t;
		limit->lines = 0;
	}
	if (++limit->lines > LINES_A_MINUTE)
		return;
	va_start(args, format);
	write_line(priority, format, args);
	va_end(args);
}
