/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <string.h>

#include "fields.h"

/* Of a number that is read as 8 bytes, the lower 4 come first. */
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "numbers are masked");

bool pairs_open(struct reader *from, struct pairs *pairs)
{
	struct item map;

	if (!read_typed(from, ITEM_MAP, &map))
		return false;
	*pairs = (struct pairs){ *from, map.value };
	return true;
}

static const struct field *find_field(const struct field *fields, const struct item *key)
{
	for (; fields->type != FIELD_END; fields++)
		if (item_is_text(key, fields->key))
			return fields;
	return NULL;
}

/* The value of @key; at is NULL if there is none. */
static struct reader find_value(const struct pairs *pairs, const char *key)
{
	struct reader from = pairs->from;
	struct item item;

	for (size_t i = 0; i < pairs->nr && read_item(&from, &item); i++) {
		if (item_is_text(&item, key))
			return from;
		if (!read_over(&from))
			break;
	}
	return (struct reader){ 0 };
}

/* Writes the pairs that the table does not have, and counts them. */
static size_t unknown_pairs(const struct field *fields, const struct pairs *old,
			    struct writer *to)
{
	struct reader from = old->from;
	size_t unknown = 0;

	for (size_t i = 0; i < old->nr; i++) {
		const uint8_t *pair = from.at;
		struct item key;

		if (!read_item(&from, &key) || !read_over(&from))
			break;
		if (find_field(fields, &key))
			continue;
		unknown++;
		write_encoded(to, pair, from.at - pair);
	}
	return unknown;
}

static void encode_map(const struct field *fields, const void *from, struct reader *old,
		       struct writer *to)
{
	struct pairs pairs = { 0 };
	uint8_t *head;

	if (old->at && !pairs_open(old, &pairs))
		pairs.nr = 0;
	head = write_map_head(to);
	set_map_pairs(to, head, fields_encode(fields, from, &pairs, to));
}

/* Each element keeps the unknown pairs of the former one at the same place. */
static void encode_maps(const struct field *field, const void *from, uint32_t nr,
			struct reader old, struct writer *to)
{
	struct item array = { 0 };

	if (old.at && !read_typed(&old, ITEM_ARRAY, &array))
		array.value = 0;
	write_array(to, nr);
	for (uint32_t i = 0; i < nr; i++) {
		struct reader element = i < array.value ? old : (struct reader){ 0 };

		encode_map(field->fields, (const uint8_t *)from + i * field->size, &element, to);
		if (i < array.value && !read_over(&old))
			array.value = 0;
	}
}

static uint64_t load_uint(const struct field *field, const void *from)
{
	uint64_t wide;

	/* Most fields of most records are read, and are 0: this has no branch. */
	memcpy(&wide, from, sizeof(wide));
	return wide & field->max;
}

static uint32_t load_nr(const struct field *field, const void *from)
{
	uint32_t nr;

	memcpy(&nr, (const uint8_t *)from + field->nr, sizeof(nr));
	return nr < field->max ? nr : field->max;
}

/* The heads of a short text, and of numbers of 1, 2, 4 and 8 bytes. */
#define TEXT	0x60
#define UINT_8	0x18
#define UINT_16	0x19
#define UINT_32	0x1a
#define UINT_64	0x1b
#define SMALL	24
/* Bytes that a pair with a number takes at most, with all that is copied of its key. */
#define PAIR_MAX	(1 + FIELD_KEY + 9)

/* As short as it can be: keys of records are compared as bytes. */
static uint8_t *put_uint(uint8_t *at, uint64_t value)
{
	uint64_t big = htobe64(value);

	if (value < SMALL) {
		*at = value;
		return at + 1;
	}
	if (value > UINT32_MAX) {
		*at = UINT_64;
		memcpy(at + 1, &big, 8);
		return at + 9;
	}
	if (value > UINT16_MAX) {
		*at = UINT_32;
		memcpy(at + 1, (uint8_t *)&big + 4, 4);
		return at + 5;
	}
	if (value > UINT8_MAX) {
		*at = UINT_16;
		memcpy(at + 1, (uint8_t *)&big + 6, 2);
		return at + 3;
	}
	at[0] = UINT_8;
	at[1] = value;
	return at + 2;
}

static uint8_t *put_key(uint8_t *at, const struct field *field)
{
	*at = TEXT | field->key_size;
	memcpy(at + 1, field->key, FIELD_KEY);
	return at + 1 + field->key_size;
}

static void encode_key(const struct field *field, struct writer *to)
{
	uint8_t *at = to->at;

	if (to->left < PAIR_MAX) {
		write_text(to, field->key);
		return;
	}
	to->at = put_key(at, field);
	to->left -= to->at - at;
}

static void encode_uint(const struct field *field, uint64_t value, struct writer *to)
{
	uint8_t *at = to->at;

	if (to->left < PAIR_MAX) {
		write_text(to, field->key);
		write_uint(to, value);
		return;
	}
	to->at = put_uint(put_key(at, field), value);
	to->left -= to->at - at;
}

void field_encode(const struct field *field, const void *from, const struct pairs *old,
		  struct writer *to)
{
	const uint8_t *value = (const uint8_t *)from + field->offset;
	struct reader old_value = { 0 };

	if (field->fields && old->nr)
		old_value = find_value(old, field->key);
	if (field->type == FIELD_UINT) {
		encode_uint(field, load_uint(field, value), to);
		return;
	}
	encode_key(field, to);
	switch (field->type) {
	case FIELD_BOOL:
		write_bool(to, *(const bool *)value);
		break;
	case FIELD_NAME:
		/* Names of clients can be any bytes, so they are not CBOR text. */
		write_bytes(to, value, strnlen((const char *)value, field->size - 1));
		break;
	case FIELD_MAP:
		encode_map(field->fields, value, &old_value, to);
		break;
	case FIELD_MAPS:
		encode_maps(field, value, load_nr(field, from), old_value, to);
		break;
	default:
		break;
	}
}

static bool are_zero(const struct field *fields, const void *from);

static bool is_zero(const struct field *field, const void *from)
{
	const uint8_t *value = (const uint8_t *)from + field->offset;

	switch (field->type) {
	case FIELD_UINT:
		return !load_uint(field, value);
	case FIELD_BOOL:
	case FIELD_NAME:
		return !*value;
	case FIELD_MAP:
		return are_zero(field->fields, value);
	case FIELD_MAPS:
		return !load_nr(field, from);
	case FIELD_END:
		break;
	}
	return false;
}

static bool are_zero(const struct field *fields, const void *from)
{
	for (; fields->type != FIELD_END; fields++)
		if (!is_zero(fields, from))
			return false;
	return true;
}

/*
 * Writes consecutive numbers while there is room for any, and counts them.  Most pairs of
 * a lease, which is saved four times, are numbers.  So these do not go through libcbor,
 * and the key is copied with its padding.  @field: moved to the first that was not done.
 */
static size_t encode_uints(const struct field **field, const void *from, struct writer *to)
{
	uint8_t *at = to->at, *last;
	const struct field *next = *field;
	size_t nr = 0;

	if (to->left < PAIR_MAX)
		return 0;
	last = at + to->left - PAIR_MAX;
	for (; next->type == FIELD_UINT && at <= last; next++) {
		uint64_t value = load_uint(next, (const uint8_t *)from + next->offset);

		if (!value)
			continue;
		at = put_uint(put_key(at, next), value);
		nr++;
	}
	to->left -= at - to->at;
	to->at = at;
	*field = next;
	return nr;
}

size_t fields_encode(const struct field *fields, const void *from, const struct pairs *old,
		     struct writer *to)
{
	size_t nr = 0;

	for (const struct field *field = fields; ; field++) {
		nr += encode_uints(&field, from, to);
		if (field->type == FIELD_END)
			break;
		/* A map may have unknown pairs to keep. */
		if (is_zero(field, from) && !(field->fields && old->nr))
			continue;
		field_encode(field, from, old, to);
		nr++;
	}
	return old->nr ? nr + unknown_pairs(fields, old, to) : nr;
}

static bool decode_uint(const struct field *field, void *to, struct reader *from)
{
	struct item item;
	uint32_t narrow;

	if (!read_typed(from, ITEM_UINT, &item))
		return false;
	if (field->size == sizeof(narrow)) {
		narrow = item.value;
		memcpy(to, &narrow, sizeof(narrow));
		return narrow == item.value;
	}
	memcpy(to, &item.value, sizeof(item.value));
	return true;
}

static bool decode_bool(void *to, struct reader *from)
{
	struct item item;

	if (!read_typed(from, ITEM_BOOL, &item))
		return false;
	*(bool *)to = item.value;
	return true;
}

static bool decode_name(const struct field *field, char *to, struct reader *from)
{
	struct item item;

	if (!read_typed(from, ITEM_BYTES, &item) || item.value >= field->size ||
	    memchr(item.data, '\0', item.value))
		return false;
	memcpy(to, item.data, item.value);
	memset(to + item.value, '\0', field->size - item.value);
	return true;
}

static bool decode_map(const struct field *fields, void *to, struct reader *from, bool *unknown)
{
	struct pairs pairs;

	if (!pairs_open(from, &pairs) || !fields_decode(fields, to, &pairs, unknown))
		return false;
	*from = pairs.from;
	return true;
}

static bool decode_maps(const struct field *field, uint8_t *to, uint8_t *structure,
			struct reader *from, bool *unknown)
{
	struct item array;
	uint32_t nr;

	if (!read_typed(from, ITEM_ARRAY, &array) || array.value > field->max)
		return false;
	nr = array.value;
	memcpy(structure + field->nr, &nr, sizeof(nr));
	for (uint32_t i = 0; i < nr; i++)
		if (!decode_map(field->fields, to + i * field->size, from, unknown))
			return false;
	return true;
}

static bool decode(const struct field *field, uint8_t *structure, struct reader *from,
		   bool *unknown)
{
	uint8_t *to = structure + field->offset;

	switch (field->type) {
	case FIELD_UINT:
		return decode_uint(field, to, from);
	case FIELD_BOOL:
		return decode_bool(to, from);
	case FIELD_NAME:
		return decode_name(field, (char *)to, from);
	case FIELD_MAP:
		return decode_map(field->fields, to, from, unknown);
	case FIELD_MAPS:
		return decode_maps(field, to, structure, from, unknown);
	case FIELD_END:
		break;
	}
	return false;
}

bool fields_decode(const struct field *fields, void *to, struct pairs *pairs, bool *unknown)
{
	for (; pairs->nr; pairs->nr--) {
		const struct field *field;
		struct item key;

		if (!read_typed(&pairs->from, ITEM_TEXT, &key))
			return false;
		field = find_field(fields, &key);
		if (!field)
			*unknown = true;
		if (!(field ? decode(field, to, &pairs->from, unknown) :
			      read_over(&pairs->from)))
			return false;
	}
	return true;
}
