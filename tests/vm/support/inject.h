/* SPDX-License-Identifier: MIT */
/* Call sites of the driver made to fail, by the tests' module: modules/inject/inject.h. */
#ifndef TESTS_INJECT_H
#define TESTS_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "callsites.h"

/* How a function of the kernel reports failure. */
struct failure {
	const char *callee;
	long value;		/* its return value then */
	int error;		/* the errno of user space */
	unsigned int flags;
/* It returns its third argument. */
#define FAILURE_ARG3	(1 << 0)
/* A later call of the same operation may have left something that a failure undoes. */
#define FAILURE_FIRST	(1 << 1)
/* A wait or a trylock: the caller continues, tries again, or reports a signal. */
#define FAILURE_RETRY	(1 << 2)
};

/*
 * How a callee fails; NULL if it cannot, or if the site never runs.  The test fails for
 * a callee that is not known: add it to inject.c.
 */
const struct failure *failure_of(const struct callsite *site);
/* The same, and NULL for a callee that is not known. */
const struct failure *failure_known(const struct callsite *site);

/* A new file of the module, with no site armed; the test fails if there is none. */
int inject_open(void);
/* Arms a site of the loaded module; its number. */
int inject_arm(int fd, const char *module, const struct callsite *site);
/* Arms a site of a module when that is loaded, before any of it runs. */
int inject_arm_at_load(int fd, const char *module, const struct callsite *site);
/* The site's calls work @after times, and then fail @times times. */
void inject_fail(int fd, int number, const struct failure *failure,
		 unsigned int after, unsigned int times);
/* Counts again, and lets all calls work. */
void inject_count(int fd, int number);
unsigned int inject_hits(int fd, int number);

#endif
