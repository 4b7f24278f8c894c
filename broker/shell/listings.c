/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "shell/listings.h"

struct listing {
	uint64_t client;	/* first: the table looks for it */
	struct list list;
};

struct list *listings_find(const struct listings *listings, uint64_t client)
{
	struct listing *listing = table_find(&listings->table, client);

	return listing ? &listing->list : NULL;
}

struct list *listings_add(struct listings *listings, uint64_t client)
{
	struct listing *listing;

	if (!table_reserve(&listings->table, 1))
		return NULL;
	listing = calloc(1, sizeof(*listing));
	if (!listing)
		return NULL;
	listing->client = client;
	table_add(&listings->table, listing);
	return &listing->list;
}

void listings_remove(struct listings *listings, uint64_t client)
{
	struct listing *listing = table_find(&listings->table, client);

	if (!listing)
		return;
	table_remove(&listings->table, listing);
	free(listing);
}

void listings_begin_again(struct listings *listings)
{
	for (size_t i = 0; i < listings->table.nr; i++)
		list_again(&((struct listing *)listings->table.items[i])->list);
}

void listings_free(struct listings *listings)
{
	for (size_t i = 0; i < listings->table.nr; i++)
		free(listings->table.items[i]);
	table_free(&listings->table);
}
