/* SPDX-License-Identifier: MIT */
/* Metrics: in a file that is written at intervals, and from a socket. */
#ifndef SHELL_METRICS_H
#define SHELL_METRICS_H

#include "config/settings.h"

struct metrics;
struct shell;

/* Without file and socket.  NULL: no memory. */
struct metrics *metrics_new(struct shell *shell);
/* Sets file and socket.  Former ones at other paths are removed.  Logs a failure. */
void metrics_set(struct metrics *metrics, const struct metrics_settings *settings);
/* Call it before each wait.  Returns when to call it again, in CLOCK_BOOTTIME. */
uint64_t metrics_work(struct metrics *metrics);
/* Also removes file and socket, which would be out of date. */
void metrics_free(struct metrics *metrics);

#endif
