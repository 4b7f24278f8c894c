/* SPDX-License-Identifier: MIT */
/* Makes foreign text safe for logs, terminals and JSON. */
#ifndef COMMON_PRINTABLE_H
#define COMMON_PRINTABLE_H

#include <stddef.h>

/* Copies text, up to a NUL or @length, truncated to fit.  Replaces all but printable ASCII by '?'. */
void copy_printable(char *to, size_t size, const char *text, size_t length);
/* The same in place. */
void make_printable(char *text);

#endif
