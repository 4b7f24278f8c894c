/* SPDX-License-Identifier: MIT */
/*
 * A structure as a CBOR map, by a table that names each of its fields once.
 *
 * Keys that the table does not have are from another version.  They are kept: a map
 * that replaces another one is written with the unknown pairs of that one.
 */
#ifndef STATE_FIELDS_H
#define STATE_FIELDS_H

#include "cbor.h"

enum field_type {
	FIELD_END,
	FIELD_UINT,	/* of 4 or 8 bytes */
	FIELD_BOOL,
	FIELD_NAME,	/* an array of char, with a NUL */
	FIELD_MAP,	/* a structure; fields */
	FIELD_MAPS,	/* an array of structures; fields, max, nr */
};

/* Bytes of a key, with its NUL. */
#define FIELD_KEY	16

struct field {
	enum field_type type;
	uint8_t key_size;
	char key[FIELD_KEY];
	size_t offset;
	size_t size;			/* of one */
	const struct field *fields;
	size_t max;			/* of a number: its bits */
	size_t nr;			/* the offset of a uint32_t: the number of structures */
};

#define FIELD(what, in, name)						\
	.type = (what), .key = #name, .key_size = sizeof(#name) - 1, .offset = offsetof(struct in, name)
/* A number is read as 8 bytes, which must be in the structure, and masked. */
#define READABLE(in, name)						\
	(0 * sizeof(char[offsetof(struct in, name) + 8 <= sizeof(struct in) ? 1 : -1]))
#define UINT(in, name)							\
	{ FIELD(FIELD_UINT, in, name), .size = sizeof(((struct in *)0)->name),	\
	  .max = (sizeof(((struct in *)0)->name) == 4 ? UINT32_MAX : UINT64_MAX) + READABLE(in, name) }
#define BOOL(in, name)							\
	{ FIELD(FIELD_BOOL, in, name), .size = sizeof(bool) }
#define NAME(in, name)							\
	{ FIELD(FIELD_NAME, in, name), .size = sizeof(((struct in *)0)->name) }
#define MAP(in, name, table)						\
	{ FIELD(FIELD_MAP, in, name), .size = sizeof(((struct in *)0)->name), .fields = (table) }
#define MAPS(in, name, count, table)					\
	{ FIELD(FIELD_MAPS, in, name), .size = sizeof(((struct in *)0)->name[0]),	\
	  .fields = (table), .nr = offsetof(struct in, count),		\
	  .max = sizeof(((struct in *)0)->name) / sizeof(((struct in *)0)->name[0]) }

/* The pairs of a map, after its head. */
struct pairs {
	struct reader from;
	size_t nr;
};

/* Opens the map that comes next. */
bool pairs_open(struct reader *from, struct pairs *pairs);

/*
 * Writes the pairs whose values are not 0, because a missing field reads as 0.  @old: of
 * the map that is replaced; nr is 0 if there is nothing to keep.  Returns the number of
 * pairs.
 */
size_t fields_encode(const struct field *fields, const void *from, const struct pairs *old,
		     struct writer *to);
void field_encode(const struct field *field, const void *from, const struct pairs *old,
		  struct writer *to);
/*
 * Fields that are missing are not changed.  @unknown: set if there is a pair that the
 * table does not have.  False: damaged.
 */
bool fields_decode(const struct field *fields, void *to, struct pairs *pairs, bool *unknown);

#endif
