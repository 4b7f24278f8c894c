/* SPDX-License-Identifier: MIT */
/*
 * Everything that can be asked of the driver, as operations that can be done again
 * and again: what tests do with failures put in.
 */
#ifndef TESTS_OPERATIONS_H
#define TESTS_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>

struct operation {
	const char *name;
	/* Makes what the operation needs; the test fails if it cannot. */
	void (*prepare)(void);
	/* The operation itself: -1 with errno if it failed. */
	long (*run)(void);
	/* Undoes one that worked, so that it can run again; may be NULL. */
	void (*undo)(void);
	/*
	 * What one that failed may answer when it is run again: its effect stands.
	 * 0: it must work.
	 */
	int again;
};

extern const struct operation operations[];
extern const size_t nr_operations;
/* From this one on they need importer_bind(). */
extern const size_t first_import;

/* Releases everything that prepare and run of any operation have made. */
void operation_cleanup(void);

/* The driver's objects in this process and in the prepared device. */
struct operation_state {
	size_t buffers;
	size_t fds;
	size_t mappings;
};

struct operation_state operation_state(void);

#endif
