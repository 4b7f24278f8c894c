/* SPDX-License-Identifier: MIT */
/*
 * Programs of calls to the driver, as short byte strings: any string is one, which is
 * what the fuzzer of test_kfuzz.c needs.
 */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include <stddef.h>
#include <stdint.h>

#define CALLS_MOST	256	/* bytes of a program */

/* Number of kinds of calls: the first byte of each, modulo this. */
unsigned int calls_kinds(void);
/* Bytes of a call of this kind. */
unsigned int calls_size(uint8_t kind);

/*
 * Runs a program in the calling process, which should be one of its own, and closes
 * all that it has left.  The result is NULL, or what the driver may never do.
 */
const char *calls_run(const uint8_t *program, size_t size);

/* Sets the devices' settings to their defaults.  They outlive a program: call it after each. */
void calls_restore_settings(void);

#endif
