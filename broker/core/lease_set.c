/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "lease_set.h"
#include "notify.h"

static bool reserve(struct core *core, struct device *device)
{
	for (int i = 0; i < 2; i++)
		if (!ranges_reserve(&device->taken[i], device->nr_leases + 1) ||
		    !ranges_reserve(&device->claimed[i], device->nr_leases + 1))
			return false;
	return table_reserve(&core->leases, 1) &&
	       deadlines_reserve(&core->deadlines, core->leases.nr + 1);
}

static void join_client(struct lease *lease, struct client *client)
{
	lease->client = client;
	lease->next = client->leases;
	lease->link = &client->leases;
	if (lease->next)
		lease->next->link = &lease->next;
	client->leases = lease;
	client->nr_leases++;
	client->memory += lease->r.memory;
}

struct lease *lease_new(struct core *core, const struct lease_record *record,
			struct client *client, struct device *device)
{
	struct lease *lease;

	if (!reserve(core, device))
		return NULL;
	lease = calloc(1, sizeof(*lease));
	if (!lease)
		return NULL;
	lease->r = *record;
	lease->device = device;
	device->nr_leases++;
	table_add(&core->leases, lease);
	if (client) {
		lease->account = client->account;
		account_take(&core->accounts, lease->account, LEASES);
		if (record->memory)
			account_take_more(&core->accounts, lease->account, MEMORY_BYTES, record->memory);
		join_client(lease, client);
	}
	return lease;
}

void lease_save(struct core *core, struct lease *lease)
{
	lease->saved = true;
	EMIT(core, EFFECT_SAVE_LEASE, .lease = lease->r.id, .saved_lease = &lease->r);
}

void lease_leave_client(struct lease *lease)
{
	struct client *client = lease->client;

	if (!client)
		return;
	notice_remove(client, &lease->to_client);
	*lease->link = lease->next;
	if (lease->next)
		lease->next->link = lease->link;
	client->nr_leases--;
	client->memory -= lease->r.memory;
	/* A client that was dropped does not wait for the answer. */
	if (lease->asker == client)
		lease->asker = NULL;
	lease->client = NULL;
}

void lease_set_asker(struct lease *lease, struct client *asker, uint64_t serial)
{
	lease->asker = asker;
	lease->r.asker = asker->r.id;
	lease->r.asker_serial = serial;
	if (asker != lease->client)
		asker->nr_asked++;
}

void lease_forget(struct core *core, struct lease *lease)
{
	if (lease->saved)
		EMIT(core, EFFECT_FORGET_LEASE, .lease = lease->r.id);
	if (lease->asker && lease->asker != lease->client) {
		notice_remove(lease->asker, &lease->to_asker);
		lease->asker->nr_asked--;
	}
	lease_leave_client(lease);
	lease_free_bytes(core, lease);
	deadline_set(&core->deadlines, lease, 0);
	if (lease->account && lease->r.memory)
		account_give_more_back(&core->accounts, lease->account, MEMORY_BYTES, lease->r.memory);
	if (lease->account)
		account_give_back(&core->accounts, lease->account, LEASES);
	if (core->asked == lease)
		core->asked = NULL;
	table_remove(&core->leases, lease);
	free(lease);
}

static struct place place_of(const struct lease *lease)
{
	return (struct place){ lease->r.offset, lease->r.length, lease->r.bar };
}

static struct ranges *ranges_of(const struct lease *lease)
{
	return &lease->device->taken[!!(lease->r.flags & SLICE_EXCLUSIVE)];
}

void lease_take_bytes(struct lease *lease)
{
	struct place place = place_of(lease);

	ranges_add(ranges_of(lease), &place, lease);
	lease->device->nr_taking++;
}

void lease_free_bytes(struct core *core, struct lease *lease)
{
	struct device *device = lease->device;
	struct place place = place_of(lease);

	(void)core;
	if (!device)
		return;
	if (lease->r.phase == LEASE_WAITING)
		lease_stop_waiting(lease);
	if (lease_takes_bytes(lease)) {
		ranges_remove(ranges_of(lease), &place, lease);
		device->nr_taking--;
	}
	device->nr_leases--;
	device->changed = true;
	lease->device = NULL;
}

void lease_wait(struct lease *lease)
{
	struct lease **link = &lease->device->waiting;

	/* The oldest first: ids grow. */
	while (*link && (*link)->r.id < lease->r.id)
		link = &(*link)->next_waiting;
	lease->next_waiting = *link;
	*link = lease;
	lease->r.phase = LEASE_WAITING;
}

void lease_stop_waiting(struct lease *lease)
{
	struct lease **link = &lease->device->waiting;

	while (*link != lease)
		link = &(*link)->next_waiting;
	*link = lease->next_waiting;
}
