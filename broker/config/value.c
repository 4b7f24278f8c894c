/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "value.h"

#define LETTERS	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

#define WRONG(wrong, right_format, right_argument, ...) (			\
	snprintf((wrong)->what, sizeof((wrong)->what), __VA_ARGS__),		\
	snprintf((wrong)->right, sizeof((wrong)->right), right_format, right_argument), false)

static bool too_large(struct wrong *wrong)
{
	return WRONG(wrong, "%s", "", "is too large");
}

static bool octal(const char *text, struct wrong *wrong)
{
	size_t length = strspn(text, DIGITS), zeros = strspn(text, "0");
	const char *rest = text[zeros] && zeros < length ? text + zeros : "0";
	uint64_t number = 0;

	if (length > 12 || strspn(text, "01234567") != length)
		return WRONG(wrong, "write %.24s", rest, "begins with 0, which may mean octal");
	for (size_t i = 0; i < length; i++)
		number = number * 8 + (text[i] - '0');
	snprintf(wrong->right, sizeof(wrong->right), "write %s, or 0x%" PRIx64 " if it is octal",
		 rest, number);
	snprintf(wrong->what, sizeof(wrong->what), "begins with 0, which may mean octal");
	/* Something follows the digits. */
	if (text[length])
		wrong->right[0] = '\0';
	return false;
}

/* A number at the beginning of the text; *end points after it. */
static bool leading_number(const char *text, const char **end, uint64_t *number,
			   struct wrong *wrong)
{
	unsigned int base = 10;
	uint64_t value = 0;

	if (text[0] == '-')
		return WRONG(wrong, "%s", "", "is negative");
	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	} else if (text[0] == '0' && isdigit((unsigned char)text[1])) {
		return octal(text, wrong);
	}
	if (base == 16 ? !isxdigit((unsigned char)*text) : !isdigit((unsigned char)*text))
		return WRONG(wrong, "%s", "", "is not a number");
	for (; base == 16 ? isxdigit((unsigned char)*text) : isdigit((unsigned char)*text); text++) {
		unsigned int digit = isdigit((unsigned char)*text) ? *text - '0' :
				     tolower((unsigned char)*text) - 'a' + 10;

		if (value > (UINT64_MAX - digit) / base)
			return too_large(wrong);
		value = value * base + digit;
	}
	*end = text;
	*number = value;
	return true;
}

bool value_number(const char *text, uint64_t *number, struct wrong *wrong)
{
	const char *end;

	if (!leading_number(text, &end, number, wrong))
		return false;
	return !*end || WRONG(wrong, "%s", "", "is not a number");
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* The number times the unit after it.  False: no such unit. */
static bool with_unit(const char *text, const struct unit *units, uint64_t *number,
		      const char **unit, struct wrong *wrong)
{
	if (!leading_number(text, unit, number, wrong))
		return false;
	if (!strncmp(text, "0x", 2) && **unit)
		return WRONG(wrong, "%s", "write a decimal number before the unit",
			     "is a hexadecimal number with something after it");
	for (; units->name; units++) {
		if (strcmp(*unit, units->name))
			continue;
		if (*number > UINT64_MAX / units->factor)
			return too_large(wrong);
		*number *= units->factor;
		*unit = NULL;
		return true;
	}
	return true;
}

static const struct unit sizes[] = {
	{ "", 1 }, { "K", 1ULL << 10 }, { "M", 1ULL << 20 }, { "G", 1ULL << 30 },
	{ "T", 1ULL << 40 }, { NULL, 0 }
};

bool value_size(const char *text, uint64_t *bytes, struct wrong *wrong)
{
	const char *unit;

	if (!with_unit(text, sizes, bytes, &unit, wrong))
		return false;
	if (!unit)
		return true;
	return WRONG(wrong, "%s", "write bytes, or K, M, G or T (of 1024 each), as in 64K",
		     "has the unknown unit \"%.20s\"", unit);
}

static const struct unit times[] = {
	{ "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 },
	{ "d", 86400000000 }, { NULL, 0 }
};

bool value_duration(const char *text, uint64_t *usec, struct wrong *wrong)
{
	const char *unit;

	if (!with_unit(text, times, usec, &unit, wrong))
		return false;
	if (!unit)
		return true;
	if (!*unit)
		return WRONG(wrong, "write %.24ss for seconds; ms, m, h and d are known too", text,
			     "has no unit");
	return WRONG(wrong, "%s", "write ms, s, m, h or d, as in 30s",
		     "has the unknown unit \"%.20s\"", unit);
}

static const char *text_of(uint64_t number, const struct unit *units, char text[VALUE_TEXT])
{
	const struct unit *best = units;

	for (; units->name; units++)
		if (number % units->factor == 0)
			best = units;
	snprintf(text, VALUE_TEXT, "%" PRIu64 "%s", number / best->factor, best->name);
	return text;
}

const char *value_duration_text(uint64_t usec, char text[VALUE_TEXT])
{
	return text_of(usec, times, text);
}

const char *value_size_text(uint64_t bytes, char text[VALUE_TEXT])
{
	return bytes ? text_of(bytes, sizes, text) : "0";
}

bool value_uuid(const char *text, char uuid[UUID_SIZE], struct wrong *wrong)
{
	uint8_t bytes[16];

	uuid[0] = '\0';
	if (!uuid_bytes(text, bytes))
		return WRONG(wrong, "%s", "write one such as 3b241101-e2bb-4255-8caf-4136c566a962",
			     "is not a UUID");
	for (size_t i = 0; i < UUID_SIZE; i++)
		uuid[i] = tolower((unsigned char)text[i]);
	return true;
}

bool value_name(const char *text, struct wrong *wrong)
{
	size_t length = strlen(text);

	if (length && length <= NAME_LENGTH && !text[strspn(text, LETTERS DIGITS "._-")])
		return true;
	return WRONG(wrong, "write 1 to %d letters, digits, \".\", \"_\" and \"-\"", NAME_LENGTH,
		     "is not a name");
}
