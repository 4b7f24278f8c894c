/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stddef.h>

#include "common/uuid.h"

bool uuid_bytes(const char *text, uint8_t bytes[16])
{
	static const char form[UUID_SIZE] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	unsigned int digits = 0;
	size_t i;

	for (i = 0; form[i]; i++) {
		char c = text[i];

		if (form[i] == '-' ? c != '-' : !isxdigit((unsigned char)c))
			return false;
		if (c == '-')
			continue;
		bytes[digits / 2] = bytes[digits / 2] << 4 | (c <= '9' ? c - '0' : (c & 7) + 9);
		digits++;
	}
	return !text[i];
}
