/* SPDX-License-Identifier: MIT */
/* Which code of the driver a process has run: KCOV, where the module is built for it. */
#ifndef TESTS_KCOV_H
#define TESTS_KCOV_H

#include <stddef.h>
#include <stdint.h>

/* Why there is none; NULL if there is. */
const char *kcov_missing(void);
/* Makes the memory that records; for this process and its children, one at a time. */
void kcov_open(void);
/* The calling process records from now on, from nothing. */
void kcov_start(void);
void kcov_stop(void);
/* What the last one to record has run: return addresses, in the order of running. */
size_t kcov_read(const uint64_t **addresses);

#endif
