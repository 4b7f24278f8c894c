/* SPDX-License-Identifier: MIT */
/* Without stdio: this runs for each lease that a client receives, and adds to its cost. */
#include <ctype.h>
#include <string.h>

#include "common/bdf.h"

/* A hexadecimal number of at most @digits digits, and what must follow it. */
static bool parse_hex(const char **text, int digits, char end, unsigned int *number)
{
	const char *at = *text;

	*number = 0;
	for (; at - *text < digits && isxdigit((unsigned char)*at); at++)
		*number = *number << 4 | (*at <= '9' ? *at - '0' : (*at & 7) + 9);
	if (at == *text || *at != end)
		return false;
	*text = at + 1;
	return true;
}

/* Writes at least @digits digits. */
static char *write_hex(char *to, unsigned int number, int digits)
{
	while (digits < 8 && number >> (4 * digits))
		digits++;
	while (digits--)
		*to++ = "0123456789abcdef"[number >> (4 * digits) & 15];
	return to;
}

#define USUAL_SIZE	sizeof("0000:00:00.0")

/* As the kernel and the broker write it; a name with a longer domain is not. */
static bool is_usual(const char *text)
{
	static const char least[] = "0000:00:00.0", most[] = "ffff:ff:1f.7";

	for (size_t i = 0; i < USUAL_SIZE; i++)
		if (text[i] < least[i] || text[i] > most[i] ||
		    (text[i] > '9' && text[i] < 'a' && text[i] != most[i]))
			return false;
	return true;
}

bool bdf_parse(const char *text, char bdf[BDF_SIZE])
{
	unsigned int domain = 0, bus, slot, function;
	const char *colon;

	if (is_usual(text)) {
		memcpy(bdf, text, USUAL_SIZE);
		return true;
	}
	colon = strchr(text, ':');
	if (colon && strchr(colon + 1, ':') && !parse_hex(&text, 8, ':', &domain))
		return false;
	if (!parse_hex(&text, 2, ':', &bus) || !parse_hex(&text, 2, '.', &slot) ||
	    !parse_hex(&text, 1, '\0', &function))
		return false;
	/* A longer domain does not fit in @bdf. */
	if (slot > 31 || function > 7 || domain > 0xfffffff)
		return false;
	bdf = write_hex(bdf, domain, 4);
	*bdf++ = ':';
	bdf = write_hex(bdf, bus, 2);
	*bdf++ = ':';
	bdf = write_hex(bdf, slot, 2);
	*bdf++ = '.';
	bdf = write_hex(bdf, function, 1);
	*bdf = '\0';
	return true;
}
