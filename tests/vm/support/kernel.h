/* SPDX-License-Identifier: MIT */
/* The running kernel: its modules and its command line. */
#ifndef TESTS_KERNEL_H
#define TESTS_KERNEL_H

#include <stdbool.h>

/*
 * Runs a program and waits for it; its exit status, 255 for a signal.
 * The arguments end with NULL.
 */
int run_program(const char *path, ...);
/* Loads a module of the image by its name; without it, the program ends. */
void module_load(const char *name);
/* Whether the kernel or the image has it. */
bool module_exists(const char *name);
/* NULL if the kernel has the driver, or why a test that needs it is skipped. */
const char *driver_missing(const char *module);
/* Whether the kernel's version is at least this one. */
bool kernel_is(int version, int patchlevel);
/*
 * Whether page tables can have huge entries for other things than hugetlbfs: it takes
 * transparent huge pages, which PREEMPT_RT excludes.
 */
bool kernel_has_huge_pages(void);
/* Whether the kernel was configured with PREEMPT_RT. */
bool kernel_is_realtime(void);
/* Whether the kernel's command line has the word. */
bool kernel_started_with(const char *word);

#endif
