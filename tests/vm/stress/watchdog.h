/* SPDX-License-Identifier: MIT */
/* Finds operations that do not end, and prints where they are. */
#ifndef STRESS_WATCHDOG_H
#define STRESS_WATCHDOG_H

#include <stdbool.h>
#include <sys/types.h>

/* Checks all workers. False if one hangs, which is a failure. */
bool watchdog_look(void);
/* Prints where a process's threads are in the kernel, as comments of TAP. */
void watchdog_show(pid_t pid);
/* The same for each process that is not dead. */
void watchdog_show_all(void);
/* Time limit of an operation, in seconds. */
unsigned int watchdog_patience(void);

#endif
