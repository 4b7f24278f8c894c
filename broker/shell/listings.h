/* SPDX-License-Identifier: MIT */
/* Lists that are being sent, at most one for each client. */
#ifndef SHELL_LISTINGS_H
#define SHELL_LISTINGS_H

#include "core/table.h"
#include "protocol/list.h"

struct listings {
	struct table table;
};

/* The list of a client, or NULL. */
struct list *listings_find(const struct listings *listings, uint64_t client);
/* Adds a list; the caller fills it in.  NULL: no memory. */
struct list *listings_add(struct listings *listings, uint64_t client);
/* Removes a client's list, if it has one. */
void listings_remove(struct listings *listings, uint64_t client);
/* The catalogue has changed. */
void listings_begin_again(struct listings *listings);
void listings_free(struct listings *listings);

#endif
