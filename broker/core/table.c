/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "table.h"

static uint64_t key_of(const void *item)
{
	return *(const uint64_t *)item;
}

bool table_reserve(struct table *table, size_t more)
{
	size_t room = table->room ? table->room : 16;
	void **items;

	while (room < table->nr + more)
		room *= 2;
	if (room == table->room)
		return true;
	items = realloc(table->items, room * sizeof(*items));
	if (!items)
		return false;
	table->items = items;
	table->room = room;
	return true;
}

/* The position of the first item whose key is not less. */
static size_t position(const struct table *table, uint64_t key)
{
	size_t low = 0, high = table->nr;

	/* A new key is usually the greatest, and many tables have one item. */
	if (high && key_of(table->items[high - 1]) <= key)
		return key_of(table->items[high - 1]) < key ? high : high - 1;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (key_of(table->items[middle]) < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void *table_find(const struct table *table, uint64_t key)
{
	size_t at = position(table, key);

	return at < table->nr && key_of(table->items[at]) == key ? table->items[at] : NULL;
}

void table_add(struct table *table, void *item)
{
	size_t at = position(table, key_of(item));

	memmove(table->items + at + 1, table->items + at, (table->nr - at) * sizeof(void *));
	table->items[at] = item;
	table->nr++;
}

void table_remove(struct table *table, const void *item)
{
	size_t at = position(table, key_of(item));

	table->nr--;
	memmove(table->items + at, table->items + at + 1, (table->nr - at) * sizeof(void *));
}

void table_free(struct table *table)
{
	free(table->items);
	*table = (struct table){ 0 };
}
