/* SPDX-License-Identifier: MIT */
/* Makes text of clients safe for logs and terminals. */
#include "escape.h"

void escape(char *to, size_t size, const char *text, size_t length)
{
	size_t i;

	for (i = 0; i + 1 < size && i < length && text[i]; i++)
		to[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	to[i] = '\0';
}
