/* SPDX-License-Identifier: MIT */
/*
 * A thread reads the configuration, because files and name services can hang.  Leases
 * continue meanwhile.
 */
#ifndef SHELL_READING_H
#define SHELL_READING_H

#include <stdatomic.h>
#include <stdbool.h>

#include "config/settings.h"

struct attempt;

struct reading {
	const char *file, *directory;	/* of settings_read(); the caller keeps them */
	int fd;				/* readable when a reading has ended; -1: none */
	struct attempt *attempt;	/* the one that runs; NULL: none */
	atomic_uint given_up;		/* threads that still run */
};

/* -1 with errno. */
int reading_init(struct reading *reading, const char *file, const char *directory);
/*
 * Begins to read.  None runs.  -1 with errno; EBUSY: too many readings that were given up
 * still wait.
 */
int reading_begin(struct reading *reading);
/* Waits until the reading has ended.  False: it has not within @ms milliseconds. */
bool reading_wait(const struct reading *reading, int ms);
/*
 * Ends a reading whose fd is readable, and reports its mistakes.  NULL: there are some.
 * Free the settings with settings_free().
 */
struct settings *reading_take(struct reading *reading, settings_report *report, void *context);
/*
 * Nobody waits for the one that runs any more.  Its thread frees the result.  False: it
 * has just ended, and its fd is readable or will be.
 */
bool reading_give_up(struct reading *reading);

#endif
