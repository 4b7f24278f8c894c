/* SPDX-License-Identifier: MIT */
/* Text of clients, made fit for logs and terminals. */
#ifndef BROKER_ESCAPE_H
#define BROKER_ESCAPE_H

#include <stddef.h>

/* Everything but printable ASCII becomes '?'; cut to fit, always ended. */
void escape(char *to, size_t size, const char *text, size_t length);

#endif
