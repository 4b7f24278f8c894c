/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "encoding.h"

/* The number of bytes of the first character; 0: it is not UTF-8. */
static size_t character(const unsigned char *bytes, size_t size)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = bytes[0];
	size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 :
			first < 0xf8 ? 4 : 0;
	uint32_t value = length > 1 ? first & (0x7f >> length) : first;

	if (!length || length > size)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (bytes[i] & 0x3f);
	}
	return value >= least[length] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff) ?
	       length : 0;
}

bool encoding_check(struct mistakes *mistakes, const char *file, const char *bytes, size_t size)
{
	struct place place = { file, 1, 1 };
	size_t length;

	for (size_t i = 0; i < size; i += length, place.column++) {
		const unsigned char *at = (const unsigned char *)bytes + i;

		length = character(at, size - i);
		if (!length) {
			mistake(mistakes, &place, "byte 0x%02x is not UTF-8; save the file as UTF-8", *at);
			return false;
		}
		if ((*at < ' ' && *at != '\t' && *at != '\n' && *at != '\r') || *at == 0x7f) {
			mistake(mistakes, &place, "control character 0x%02x; remove it", *at);
			return false;
		}
		if (*at == '\n') {
			place.line++;
			place.column = 0;
		}
	}
	return true;
}
