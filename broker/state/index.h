/* SPDX-License-Identifier: MIT */
/* The newest record of each key: a hash table. */
#ifndef STATE_INDEX_H
#define STATE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is bytes in the log, whose address can change. */
struct key {
	const uint8_t *bytes;
	size_t size;
	uint32_t hash;
};

struct slot {
	uint32_t record;	/* its offset in the log; 0: the slot is free */
	uint32_t size;		/* of the record */
	uint32_t hash;
	uint16_t key;		/* its offset in the record */
	uint16_t key_size;
	bool unknown;		/* another version has written pairs that this one does not know */
};

struct index {
	struct slot *slots;
	size_t nr, room;	/* room: a power of two, or 0 */
};

/* Makes room for @nr keys.  False: no memory. */
bool index_reserve(struct index *index, size_t nr);
/* @base: the start of the log's map.  NULL: it does not have @key. */
struct slot *index_find(const struct index *index, const uint8_t *base, const struct key *key);
/* Needs room; the key must not be there. */
struct slot *index_add(struct index *index, uint32_t hash);
void index_remove(struct index *index, struct slot *slot);
/* The slot after @slot, in no order.  @slot: NULL: the first.  Return: NULL: no more. */
struct slot *index_next(const struct index *index, const struct slot *slot);
void index_free(struct index *index);

#endif
