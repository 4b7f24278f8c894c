/* SPDX-License-Identifier: MIT */
/*
 * The types of records that this version knows.
 *
 * To add something, add a key or a type.  Never give a key a value that older versions
 * refuse.
 */
#ifndef STATE_RECORDS_H
#define STATE_RECORDS_H

#include "core/record.h"
#include "fields.h"

struct start_record {
	uint64_t number;	/* the key; always 0, because there is one record */
	uint64_t start;
};

struct record_type {
	const char *name;
	const char *pair;		/* of the type: TYPE_KEY and the name, encoded */
	const struct field *fields;	/* the first is the key, which must never be changed */
	size_t size;			/* of the structure */
	bool (*is_valid)(const void *record);
};

extern const struct record_type record_start, record_client, record_lease, record_device;

#define TYPE_KEY	"t"
/* Longer than any record that this version writes, without unknown fields. */
#define RECORD_MAX	2048

#endif
