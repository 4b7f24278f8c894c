/* SPDX-License-Identifier: MIT */
/* Items, sorted by a number that each of them begins with. */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	void **items;		/* each begins with its key, a uint64_t */
	size_t nr, room;
};

/* Makes room, so that the next @more additions cannot fail. */
bool table_reserve(struct table *table, size_t more);
void *table_find(const struct table *table, uint64_t key);
/* Needs room. */
void table_add(struct table *table, void *item);
void table_remove(struct table *table, const void *item);
/* The items are not freed. */
void table_free(struct table *table);

#endif
