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

static int level = LOG_INFO;

void log_set_level(int priority)
{
	level = priority;
}

void log_line(int priority, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (priority > level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "vfio-dmabufd: %s\n", line);
}
