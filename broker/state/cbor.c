/* SPDX-License-Identifier: MIT */
#include <cbor.h>
#include <string.h>

#include "cbor.h"

/* @size: what libcbor has written; 0: it did not fit. */
static void written(struct writer *to, size_t size)
{
	to->at += size;
	to->left -= size;
	if (!size) {
		to->full = true;
		to->left = 0;
	}
}

/* Most numbers and lengths are small, and their item then is one byte, or begins with one. */
#define SMALL		24
#define SMALL_UINT	0x00
#define SMALL_BYTES	0x40
#define SMALL_TEXT	0x60

static bool write_small(struct writer *to, unsigned int type, uint64_t value)
{
	if (value >= SMALL || !to->left)
		return false;
	*to->at++ = type | value;
	to->left--;
	return true;
}

void write_uint(struct writer *to, uint64_t value)
{
	if (write_small(to, SMALL_UINT, value))
		return;
	written(to, cbor_encode_uint(value, to->at, to->left));
}

void write_bool(struct writer *to, bool value)
{
	written(to, cbor_encode_bool(value, to->at, to->left));
}

void write_encoded(struct writer *to, const void *encoded, size_t size)
{
	if (!size)
		return;
	if (size > to->left) {
		written(to, 0);
		return;
	}
	memcpy(to->at, encoded, size);
	written(to, size);
}

void write_bytes(struct writer *to, const void *bytes, size_t size)
{
	if (!write_small(to, SMALL_BYTES, size))
		written(to, cbor_encode_bytestring_start(size, to->at, to->left));
	write_encoded(to, bytes, size);
}

void write_text(struct writer *to, const char *text)
{
	size_t size = strlen(text);

	if (!write_small(to, SMALL_TEXT, size))
		written(to, cbor_encode_string_start(size, to->at, to->left));
	write_encoded(to, text, size);
}

void write_array(struct writer *to, size_t items)
{
	written(to, cbor_encode_array_start(items, to->at, to->left));
}

void write_map(struct writer *to, size_t pairs)
{
	written(to, cbor_encode_map_start(pairs, to->at, to->left));
}

/* A map's head with a count of two bytes. */
#define MAP_16	0xb9

uint8_t *write_map_head(struct writer *to)
{
	static const uint8_t head[] = { MAP_16, 0, 0 };
	uint8_t *at = to->at;

	write_encoded(to, head, sizeof(head));
	return at;
}

void set_map_pairs(const struct writer *to, uint8_t *head, size_t pairs)
{
	if (to->full)
		return;
	head[1] = pairs >> 8;
	head[2] = pairs;
}

static void set(void *context, enum item_type type, uint64_t value)
{
	*(struct item *)context = (struct item){ .type = type, .value = value };
}

#define TAKES(name, type, what)							\
	static void take_##name(void *context, type value)			\
	{									\
		set(context, what, value);					\
	}
#define TAKES_OTHER(name, type)							\
	static void take_##name(void *context, type value)			\
	{									\
		(void)value;							\
		set(context, ITEM_OTHER, 0);					\
	}
TAKES(uint8, uint8_t, ITEM_UINT)
TAKES(uint16, uint16_t, ITEM_UINT)
TAKES(uint32, uint32_t, ITEM_UINT)
TAKES(uint64, uint64_t, ITEM_UINT)
TAKES(bool, bool, ITEM_BOOL)
TAKES(array, uint64_t, ITEM_ARRAY)
TAKES(map, uint64_t, ITEM_MAP)
TAKES(tag, uint64_t, ITEM_TAG)
TAKES_OTHER(negint8, uint8_t)
TAKES_OTHER(negint16, uint16_t)
TAKES_OTHER(negint32, uint32_t)
TAKES_OTHER(negint64, uint64_t)
TAKES_OTHER(float, float)
TAKES_OTHER(double, double)

static void take_null(void *context)
{
	set(context, ITEM_OTHER, 0);
}

/* Of indefinite length. */
static void take_refused(void *context)
{
	set(context, ITEM_REFUSED, 0);
}

static void take_bytes(void *context, cbor_data data, uint64_t size)
{
	*(struct item *)context = (struct item){ ITEM_BYTES, size, data };
}

static void take_text(void *context, cbor_data data, uint64_t size)
{
	*(struct item *)context = (struct item){ ITEM_TEXT, size, data };
}

static const struct cbor_callbacks callbacks = {
	.uint8 = take_uint8,
	.uint16 = take_uint16,
	.uint32 = take_uint32,
	.uint64 = take_uint64,
	.negint8 = take_negint8,
	.negint16 = take_negint16,
	.negint32 = take_negint32,
	.negint64 = take_negint64,
	.byte_string = take_bytes,
	.byte_string_start = take_refused,
	.string = take_text,
	.string_start = take_refused,
	.array_start = take_array,
	.indef_array_start = take_refused,
	.map_start = take_map,
	.indef_map_start = take_refused,
	.tag = take_tag,
	.float2 = take_float,
	.float4 = take_float,
	.float8 = take_double,
	.undefined = take_null,
	.null = take_null,
	.boolean = take_bool,
	.indef_break = take_refused,
};

bool read_item(struct reader *from, struct item *item)
{
	struct cbor_decoder_result result;

	item->type = ITEM_REFUSED;
	if (!from->left)
		return false;
	result = cbor_stream_decode(from->at, from->left, &callbacks, item);
	if (result.status != CBOR_DECODER_FINISHED || item->type == ITEM_REFUSED)
		return false;
	from->at += result.read;
	from->left -= result.read;
	/* Each item takes a byte, so counts need no other limit. */
	if (item->type == ITEM_ARRAY)
		return item->value <= from->left;
	if (item->type == ITEM_MAP)
		return item->value <= from->left / 2;
	return true;
}

bool read_typed(struct reader *from, enum item_type type, struct item *item)
{
	return read_item(from, item) && item->type == type;
}

bool read_over(struct reader *from)
{
	struct item item;

	/* Not recursive: nesting needs no limit. */
	for (size_t left = 1; left; left--) {
		if (!read_item(from, &item))
			return false;
		if (item.type == ITEM_ARRAY)
			left += item.value;
		else if (item.type == ITEM_MAP)
			left += 2 * item.value;
		else if (item.type == ITEM_TAG)
			left++;
	}
	return true;
}

bool item_is_text(const struct item *item, const char *text)
{
	return item->type == ITEM_TEXT && item->value == strlen(text) &&
	       !memcmp(item->data, text, item->value);
}
