/* SPDX-License-Identifier: MIT */
/* Accesses through a mapping that may end in a signal. */
#ifndef TESTS_MEMORY_H
#define TESTS_MEMORY_H

#include <stdint.h>

/* One access of 32 bits; 0, or the signal that it got (SIGBUS, SIGSEGV). */
int try_read32(const void *address, uint32_t *value);
int try_write32(void *address, uint32_t value);

/*
 * Accesses that must work; the test fails if they get a signal.  Cheap enough
 * for long loops, which a ck_assert(), that writes a file each time, is not.
 */
uint32_t read32(const void *address);
void write32(void *address, uint32_t value);

#endif
