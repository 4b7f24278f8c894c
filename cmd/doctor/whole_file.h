/* SPDX-License-Identifier: MIT */
/* A file's or a program's text as a whole. */
#ifndef CMD_DOCTOR_WHOLE_FILE_H
#define CMD_DOCTOR_WHOLE_FILE_H

#include <stddef.h>

/* To be freed, and ends with a NUL that @size does not count; NULL with errno. */
char *whole_file(const char *path, size_t *size);
/*
 * What a program prints on stdout.  Its stderr is not shown.  To be freed; NULL if the
 * program cannot be run or fails.
 */
char *whole_output(char *const argv[]);

#endif
