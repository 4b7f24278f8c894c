/* SPDX-License-Identifier: MIT */
/* The whole text of a file, or of a program's output. */
#ifndef CMD_DOCTOR_WHOLE_FILE_H
#define CMD_DOCTOR_WHOLE_FILE_H

#include <stddef.h>

/* The caller frees it.  It ends with a NUL that is not in @size.  NULL with errno. */
char *whole_file(const char *path, size_t *size);
/*
 * What a program prints on stdout.  Its stderr is discarded.  The caller frees it.  NULL
 * if the program cannot be run or fails.
 */
char *whole_output(char *const argv[]);

#endif
