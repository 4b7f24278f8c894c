/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "common/fds.h"
#include "unsent.h"

struct unsent *unsent_new(struct unsents *unsents, uint64_t lease, uint32_t device)
{
	struct unsent *unsent;

	if (!table_reserve(&unsents->table, unsents->exporting + 1))
		return NULL;
	unsent = calloc(1, sizeof(*unsent));
	if (!unsent)
		return NULL;
	*unsent = (struct unsent){ lease, device, { -1, -1, -1, -1 } };
	unsents->exporting++;
	return unsent;
}

static void discard(struct unsent *unsent)
{
	fds_close(unsent->fds, LEASE_FDS);
	free(unsent);
}

void unsent_keep(struct unsents *unsents, struct unsent *unsent)
{
	unsents->exporting--;
	table_add(&unsents->table, unsent);
}

void unsent_drop(struct unsents *unsents, struct unsent *unsent)
{
	unsents->exporting--;
	discard(unsent);
}

bool unsents_take(struct unsents *unsents, uint64_t lease, int fds[LEASE_FDS])
{
	struct unsent *unsent = table_find(&unsents->table, lease);

	if (!unsent)
		return false;
	table_remove(&unsents->table, unsent);
	for (int i = 0; i < LEASE_FDS; i++)
		fds[i] = unsent->fds[i];
	free(unsent);
	return true;
}

void unsents_close(struct unsents *unsents, uint64_t lease)
{
	struct unsent *unsent = table_find(&unsents->table, lease);

	if (!unsent)
		return;
	table_remove(&unsents->table, unsent);
	discard(unsent);
}

void unsents_close_device(struct unsents *unsents, uint32_t device)
{
	for (size_t i = unsents->table.nr; i--; ) {
		struct unsent *unsent = unsents->table.items[i];

		if (unsent->device != device)
			continue;
		table_remove(&unsents->table, unsent);
		discard(unsent);
	}
}

void unsents_free(struct unsents *unsents)
{
	for (size_t i = 0; i < unsents->table.nr; i++)
		discard(unsents->table.items[i]);
	table_free(&unsents->table);
}
