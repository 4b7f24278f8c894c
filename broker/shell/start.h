/* SPDX-License-Identifier: MIT */
/* The start of the process: adopts what a former one has left. */
#ifndef SHELL_START_H
#define SHELL_START_H

struct shell;

/* Sets up everything but the loop's own fds.  -1: it failed, which has been logged. */
int start(struct shell *shell);

#endif
