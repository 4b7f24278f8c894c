/* SPDX-License-Identifier: MIT */
/*
 * A thread reads the configuration, because files and name services can hang.  Leases
 * continue meanwhile.
 */
#ifndef SHELL_READING_H
#define SHELL_READING_H

#include <pthread.h>
#include <stdio.h>

#include "config/settings.h"

struct reading {
	const char *file, *directory;	/* of settings_read(); the caller keeps them */
	int fd;				/* readable when a reading has ended; -1: none */
	bool running;
	pthread_t thread;
	/* Of the thread while it runs. */
	struct settings *settings;
	FILE *report;			/* writes the mistakes to @lines */
	char *lines;
	size_t size;
};

/* -1 with errno. */
int reading_init(struct reading *reading, const char *file, const char *directory);
/* Begins to read.  None runs.  -1 with errno. */
int reading_begin(struct reading *reading);
/* Waits until the reading has ended.  False: it has not within @ms milliseconds. */
bool reading_wait(const struct reading *reading, int ms);
/*
 * Ends a reading whose fd is readable, and reports its mistakes.  NULL: there are some.
 * Free the settings with settings_free().
 */
struct settings *reading_take(struct reading *reading, settings_report *report, void *context);

#endif
