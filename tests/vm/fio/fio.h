/* SPDX-License-Identifier: MIT */
/* Debian's fio, and what it says that it has done. */
#ifndef TESTS_FIO_H
#define TESTS_FIO_H

/* Why fio cannot be tested here; NULL if it can. */
const char *fio_missing(void);
/* The path of the engine. */
const char *fio_engine(void);
/*
 * How many reads or writes ("read", "write") all jobs of a result have done: the file that
 * fio has written with --output-format=json.  The test fails if a job has failed.
 */
long fio_total(const char *result, const char *direction);

#endif
