/* SPDX-License-Identifier: MIT */
/* Single values. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/uuid.h"

/* Why a text is not a value, for a message. */
struct wrong {
	char what[128];		/* follows the text: "is ..." */
	char right[128];	/* "": the message describes the setting instead */
};

/* Decimal, or hexadecimal with 0x. */
bool value_number(const char *text, uint64_t *number, struct wrong *wrong);
/* A number of bytes; with K, M, G or T, of 1024 each. */
bool value_size(const char *text, uint64_t *bytes, struct wrong *wrong);
/* A number with ms, s, m, h or d, in microseconds. */
bool value_duration(const char *text, uint64_t *usec, struct wrong *wrong);
/* A UUID; the result is in lower case. */
bool value_uuid(const char *text, char uuid[UUID_SIZE], struct wrong *wrong);
/* The name of a device or slice. */
#define NAME_LENGTH	30
bool value_name(const char *text, struct wrong *wrong);

/* As in a file, with the largest unit that is exact: "1500ms", "6T". */
#define VALUE_TEXT	32
const char *value_duration_text(uint64_t usec, char text[VALUE_TEXT]);
const char *value_size_text(uint64_t bytes, char text[VALUE_TEXT]);

#endif
