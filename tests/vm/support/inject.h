/* SPDX-License-Identifier: MIT */
/* Call sites of the driver made to fail, by the tests' module: modules/inject/inject.h. */
#ifndef TESTS_INJECT_H
#define TESTS_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "callsites.h"

/* How a function of the kernel says that it failed. */
struct failure {
	const char *callee;
	long value;		/* what it returns then */
	int error;		/* what that means to user space */
	unsigned int flags;
/* It returns its third argument. */
#define FAILURE_ARG3	(1 << 0)
/* A later call of the same operation may have left something that a failure undoes. */
#define FAILURE_FIRST	(1 << 1)
/* A wait or a trylock: the caller goes on or tries again, or reports a signal. */
#define FAILURE_RETRY	(1 << 2)
};

/*
 * How a callee fails; NULL if it cannot, or the site is none that runs.  The test
 * fails for a callee that is not known: say in inject.c how it fails.
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
