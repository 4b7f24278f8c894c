/* SPDX-License-Identifier: MIT */
/* A process that reads through a mapping without pause and counts. */
#ifndef TESTS_HAMMER_H
#define TESTS_HAMMER_H

#include <stddef.h>
#include <stdint.h>

struct hammer;

/*
 * Starts one over a mapping of the calling process, which it inherits: reads
 * 32 bits at every @step bytes, over and over.
 */
struct hammer *hammer_start(const void *map, size_t length, size_t step);
/* Returns when that many more reads have been tried. */
void hammer_wait(struct hammer *h, uint64_t reads);
/* Reads that ended in SIGBUS so far; the others worked. */
uint64_t hammer_sigbus(const struct hammer *h);
uint64_t hammer_good(const struct hammer *h);
/* From now on all reads should find this value; how many of the good did not. */
void hammer_expect(struct hammer *h, uint32_t value);
uint64_t hammer_wrong(const struct hammer *h);
/* Ends it, and waits for that. The counts can still be read. */
void hammer_end(struct hammer *h);

#endif
