/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "index.h"

#define ROOM_MIN	64

static size_t after(const struct index *index, size_t i)
{
	return (i + 1) & (index->room - 1);
}

static struct slot *free_slot(const struct index *index, uint32_t hash)
{
	size_t i = hash & (index->room - 1);

	while (index->slots[i].record)
		i = after(index, i);
	return &index->slots[i];
}

bool index_reserve(struct index *index, size_t nr)
{
	struct index more = { .nr = index->nr, .room = index->room ? index->room : ROOM_MIN };

	/* Half of the slots stay free, so that searches are short. */
	while (more.room / 2 < nr)
		more.room *= 2;
	if (more.room == index->room)
		return true;
	more.slots = calloc(more.room, sizeof(*more.slots));
	if (!more.slots)
		return false;
	for (struct slot *slot = NULL; (slot = index_next(index, slot)); )
		*free_slot(&more, slot->hash) = *slot;
	free(index->slots);
	*index = more;
	return true;
}

struct slot *index_find(const struct index *index, const uint8_t *base, const struct key *key)
{
	if (!index->room)
		return NULL;
	for (size_t i = key->hash & (index->room - 1); index->slots[i].record;
	     i = after(index, i)) {
		struct slot *slot = &index->slots[i];

		if (slot->hash == key->hash && slot->key_size == key->size &&
		    !memcmp(base + slot->record + slot->key, key->bytes, key->size))
			return slot;
	}
	return NULL;
}

struct slot *index_add(struct index *index, uint32_t hash)
{
	struct slot *slot = free_slot(index, hash);

	slot->hash = hash;
	index->nr++;
	return slot;
}

void index_remove(struct index *index, struct slot *slot)
{
	size_t mask = index->room - 1;
	size_t hole = slot - index->slots;

	/* Moves later slots into the hole, so that no search ends too early. */
	for (size_t i = after(index, hole); index->slots[i].record; i = after(index, i)) {
		size_t wanted = index->slots[i].hash & mask;

		if (((i - wanted) & mask) < ((i - hole) & mask))
			continue;
		index->slots[hole] = index->slots[i];
		hole = i;
	}
	index->slots[hole] = (struct slot){ 0 };
	index->nr--;
}

struct slot *index_next(const struct index *index, const struct slot *slot)
{
	for (size_t i = slot ? slot - index->slots + 1 : 0; i < index->room; i++)
		if (index->slots[i].record)
			return &index->slots[i];
	return NULL;
}

void index_free(struct index *index)
{
	free(index->slots);
	*index = (struct index){ 0 };
}
