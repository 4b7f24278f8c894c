/* SPDX-License-Identifier: MIT */
/* Makes text of clients safe for logs and terminals. */
#ifndef CONNECTIONS_ESCAPE_H
#define CONNECTIONS_ESCAPE_H

#include <stddef.h>

/* Everything but printable ASCII becomes '?'.  Cut to fit, with a NUL at the end. */
void escape(char *to, size_t size, const char *text, size_t length);

#endif
