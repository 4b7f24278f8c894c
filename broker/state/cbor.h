/* SPDX-License-Identifier: MIT */
/*
 * CBOR (RFC 8949) in a caller's memory, by libcbor.  All items with a definite length
 * can be skipped.
 */
#ifndef STATE_CBOR_H
#define STATE_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
	uint8_t *at;
	size_t left;
	bool full;	/* something did not fit; nothing more is written */
};

void write_uint(struct writer *to, uint64_t value);
void write_bool(struct writer *to, bool value);
void write_bytes(struct writer *to, const void *bytes, size_t size);
void write_text(struct writer *to, const char *text);
void write_array(struct writer *to, size_t items);	/* which follow */
void write_map(struct writer *to, size_t pairs);	/* which follow */
/* The same for fewer than 65536 pairs, whose number is set when they have been written. */
uint8_t *write_map_head(struct writer *to);
void set_map_pairs(const struct writer *to, uint8_t *head, size_t pairs);
/* Writes something that is encoded already. */
void write_encoded(struct writer *to, const void *encoded, size_t size);

struct reader {
	const uint8_t *at;
	size_t left;
};

enum item_type {
	ITEM_UINT,	/* value */
	ITEM_BOOL,	/* value */
	ITEM_BYTES,	/* data, value: its size */
	ITEM_TEXT,	/* the same */
	ITEM_ARRAY,	/* value: items that follow */
	ITEM_MAP,	/* value: pairs that follow */
	ITEM_TAG,	/* one item follows */
	ITEM_OTHER,
	ITEM_REFUSED,
};

struct item {
	enum item_type type;
	uint64_t value;
	const uint8_t *data;
};

/* False: damaged, or no item is left. */
bool read_item(struct reader *from, struct item *item);
/* The next item must be of this type. */
bool read_typed(struct reader *from, enum item_type type, struct item *item);
/* Skips the next item and everything in it. */
bool read_over(struct reader *from);
bool item_is_text(const struct item *item, const char *text);

#endif
