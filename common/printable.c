/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "common/printable.h"

void copy_printable(char *to, size_t size, const char *text, size_t length)
{
	size_t i;

	for (i = 0; i + 1 < size && i < length && text[i]; i++)
		to[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	to[i] = '\0';
}

void make_printable(char *text)
{
	size_t length = strlen(text);

	copy_printable(text, length + 1, text, length);
}
