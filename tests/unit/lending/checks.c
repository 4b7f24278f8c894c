// SPDX-License-Identifier: MIT
/* What holds when the process dies, and what when nothing is left to be done. */
#include <string.h>

#include "account.h"
#include "client.h"
#include "device.h"
#include "world.h"

bool records_conflict(const struct lease_record *a, const struct lease_record *b)
{
	return !strcmp(a->bdf, b->bdf) && a->bar == b->bar &&
	       ((a->flags | b->flags) & SLICE_EXCLUSIVE) &&
	       a->offset < b->offset + b->length && b->offset < a->offset + a->length;
}

static bool takes_bytes(const struct lease_record *record)
{
	return record->phase >= LEASE_EXPORTING && record->phase <= LEASE_ENDING;
}

static void check_total(struct world *world)
{
	uint32_t nr = 0;

	for (int i = 0; i < world->nr_leases; i++)
		nr += client_by_id(world, world->leases[i].client) != NULL;
	if (nr > world->catalogues[world->catalogue].total[LEASES])
		violation(world, "there are more leases than there may be", nr, 0);
}

void check_saved(struct world *world)
{
	check_total(world);
	for (int i = 0; i < world->nr_leases; i++)
		for (int j = 0; j < i; j++)
			if (takes_bytes(&world->leases[i]) && takes_bytes(&world->leases[j]) &&
			    records_conflict(&world->leases[i], &world->leases[j]))
				violation(world, "the state has two leases of the same bytes",
					  world->leases[i].id, world->leases[j].id);
}

static void check_total_memory(struct world *world)
{
	uint64_t memory = 0;

	for (int i = 0; i < world->nr_leases; i++)
		if (client_by_id(world, world->leases[i].client))
			memory += world->leases[i].memory;
	if (memory > world->catalogues[world->catalogue].total[MEMORY_BYTES])
		violation(world, "there is more memory than there may be", memory, 0);
}

static const struct lease_record *find_record(const struct world *world, uint64_t id)
{
	for (int i = 0; i < world->nr_leases; i++)
		if (world->leases[i].id == id)
			return &world->leases[i];
	return NULL;
}

/* By anything that has, or came earlier. */
static bool is_blocked(const struct world *world, const struct lease_record *record)
{
	for (int i = 0; i < world->nr_leases; i++) {
		struct lease_record other = world->leases[i];

		if (other.id == record->id)
			continue;
		if (other.phase == LEASE_WAITING) {
			if (other.id > record->id)
				continue;
			if (other.wanted != ANY_INDEX)
				other.offset += other.wanted * other.length;
			else
				other.length *= other.count;
		} else if (!takes_bytes(&other)) {
			continue;
		}
		if (records_conflict(&other, record))
			return true;
	}
	return false;
}

static void check_waits(struct world *world, const struct lease_record *record)
{
	for (uint32_t i = 0; i < record->count; i++) {
		struct lease_record place = *record;

		if (record->wanted != ANY_INDEX && record->wanted != i)
			continue;
		place.offset += i * record->length;
		if (!is_blocked(world, &place))
			violation(world, "a request waits for what is free", record->id, i);
	}
	if (!record->wait_until)
		violation(world, "a request waits that does not want to", record->id, 0);
}

static void check_client(struct world *world, struct sim_client *client)
{
	for (int i = 0; i < HELD_MAX; i++) {
		const struct held *held = &client->held[i];
		const struct lease_record *record = find_record(world, held->lease);
		const struct buffer *buffer = buffer_by_id(world, held->buffer);

		if (!held->lease)
			continue;
		if (!record || record->phase != LEASE_GRANTED)
			violation(world, "a client was not told that its lease ended",
				  held->lease, client->id);
		if (held->buffer && !held->closed && !(buffer && buffer_is_live(world, buffer)))
			violation(world, "a lease goes on that does not reach the device",
				  held->lease, client->id);
		if (held->suspended != world->devices[held->device].suspended)
			violation(world, "a client does not know whether its slice is suspended",
				  held->lease, client->id);
	}
	for (int i = 0; i < OUTSTANDING_MAX; i++) {
		const struct outstanding *outstanding = &client->outstanding[i];
		const struct lease_record *record = NULL;

		if (!outstanding->serial)
			continue;
		for (int j = 0; j < world->nr_leases; j++)
			if (world->leases[j].client == client->id &&
			    world->leases[j].serial == outstanding->serial)
				record = &world->leases[j];
		if (!record || record->phase != LEASE_WAITING)
			violation(world, "a request is never answered", client->id,
				  outstanding->serial);
	}
}

static bool client_holds(const struct sim_client *client, uint64_t lease)
{
	for (int i = 0; i < HELD_MAX; i++)
		if (client->held[i].lease == lease)
			return true;
	return false;
}

/* The configuration, as it is now, allows it. */
static void check_allowed(struct world *world, const struct lease_record *record,
			  const struct sim_client *client)
{
	const struct catalogue *catalogue = &world->catalogues[world->catalogue];
	const struct catalogue_device *device = NULL;
	const struct slice *slice = catalogue_find_slice(catalogue, record->slice, &device);

	if (!slice || !policy_allows(&slice->rule, &client->who) ||
	    record->offset < slice->offset ||
	    record->offset + record->length > slice->offset + slice->count * slice->length)
		violation(world, "a lease that the configuration forbids", record->id, client->id);
}

static void check_record(struct world *world, const struct lease_record *record)
{
	const struct sim_client *client = client_by_id(world, record->client);
	bool asker = client_by_id(world, record->asker);

	if (record->phase == LEASE_EXPORTING || record->phase == LEASE_ENDING)
		violation(world, "a lease does not come to its end", record->id, record->phase);
	if (!client && record->phase != LEASE_ENDED)
		violation(world, "a lease of nobody", record->id, record->phase);
	if (record->phase == LEASE_GRANTED && record->expires && record->expires < world->now)
		violation(world, "a lease goes on after its time", record->id, record->expires);
	if (record->phase == LEASE_WAITING && record->wait_until && record->wait_until < world->now)
		violation(world, "a request waits after its time", record->id, record->wait_until);
	if (record->phase == LEASE_WAITING)
		check_waits(world, record);
	if (!client)
		return;
	if (record->phase != LEASE_ENDED)
		check_allowed(world, record, client);
	/* Clients that do not read are sent nothing. */
	if (client->reads && record->phase == LEASE_GRANTED && !client_holds(client, record->id))
		violation(world, "a lease that its client does not know", record->id, client->id);
	if (client->reads && record->phase == LEASE_ENDED && !asker)
		violation(world, "an end that is never told", record->id, client->id);
}

static void check_buffers(struct world *world)
{
	for (int i = 0; i < BUFFERS_MAX; i++) {
		const struct buffer *buffer = &world->buffers[i];
		const struct lease_record *record;

		if (!buffer->id || !buffer_is_live(world, buffer) ||
		    (!buffer->in_broker && !buffer->with_client))
			continue;
		record = find_record(world, buffer->lease);
		if (!record || record->phase != LEASE_GRANTED || record->buffer != buffer->id)
			violation(world, "a buffer that no lease has", buffer->id, buffer->lease);
	}
}

/* The device reaches the memory of leases that go on, and no other. */
static void check_memory(struct world *world)
{
	for (int i = 0; i < MEMORIES_MAX; i++) {
		const struct memory *memory = &world->memories[i];
		const struct lease_record *record = find_record(world, memory->lease);

		if (memory->lease && (!record || record->phase != LEASE_GRANTED ||
				      record->iova != memory->iova))
			violation(world, "memory that no lease has", memory->lease, memory->iova);
	}
	for (int i = 0; i < world->nr_leases; i++) {
		const struct lease_record *record = &world->leases[i];

		if (record->phase == LEASE_GRANTED && record->memory && !mapped_memory(world, record->id))
			violation(world, "a lease goes on whose memory the device does not reach",
				  record->id, record->iova);
	}
}

static void check_devices(struct world *world)
{
	for (size_t i = 0; core_device(world->core, i); i++) {
		const struct device *device = core_device(world->core, i);

		if (device->configured && device_by_bdf(world, device->r.bdf)->present &&
		    device->phase != DEVICE_OPEN)
			violation(world, "a device is not opened", i, device->phase);
	}
}

/*
 * Each user's use is the number of its connections and leases, and takes no places
 * that are kept for others.
 */
static void check_accounts(struct world *world)
{
	const struct accounts *accounts = core_accounts(world->core);
	uint64_t pooled[NR_RESOURCES] = { 0 };

	for (size_t i = 0; i < accounts->table.nr; i++) {
		const struct account *account = accounts->table.items[i];
		const struct client *client;
		const struct lease *lease;
		uint64_t used[NR_RESOURCES] = { 0 };

		for (size_t j = 0; (client = core_client(world->core, j)); j++)
			used[CLIENTS] += client->account == account;
		for (size_t j = 0; (lease = core_lease(world->core, j)); j++)
			if (lease->account == account) {
				used[LEASES]++;
				used[MEMORY_BYTES] += lease->r.memory;
			}
		for (int r = 0; r < NR_RESOURCES; r++) {
			if (used[r] != account->used[r])
				violation(world, "an account is wrong", account->user, r);
			if (used[r] > account->kept[r])
				pooled[r] += used[r] - account->kept[r];
		}
	}
	for (int r = 0; r < NR_RESOURCES; r++)
		if (pooled[r] != accounts->pool_used[r])
			violation(world, "the places of the pool are not those in use", pooled[r],
				  accounts->pool_used[r]);
}

/* 0: long ago. */
static uint64_t time_of_grant(const struct world *world, uint64_t lease)
{
	for (int i = 0; i < 2 * RECORDS_MAX; i++)
		if (world->granted[i].lease == lease)
			return world->granted[i].time;
	return 0;
}

/* The news that it was sent match the leases that there are. */
static void check_watcher(struct world *world, const struct sim_client *client)
{
	for (int i = 0; i < client->nr_seen; i++) {
		const struct lease_record *record = find_record(world, client->seen[i]);

		if (!record || record->phase != LEASE_GRANTED)
			violation(world, "a watcher was not told of an end", client->id, client->seen[i]);
	}
	for (int i = 0; i < world->nr_leases; i++) {
		const struct lease_record *record = &world->leases[i];
		const struct sim_client *holder = client_by_id(world, record->client);

		if (record->phase != LEASE_GRANTED || !holder ||
		    (client->user && client->user != holder->user))
			continue;
		if (time_of_grant(world, record->id) > client->watches_since && !client_has_seen(client, record->id))
			violation(world, "a watcher was not told of a grant", client->id, record->id);
	}
}

void check_calm(struct world *world)
{
	check_accounts(world);
	check_saved(world);
	check_devices(world);
	for (int i = 0; i < world->nr_leases; i++)
		check_record(world, &world->leases[i]);
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (world->clients[i].id && world->clients[i].reads && !world->clients[i].dropped)
			check_client(world, &world->clients[i]);
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (world->clients[i].id && world->clients[i].watches && world->clients[i].reads &&
		    !world->clients[i].dropped)
			check_watcher(world, &world->clients[i]);
	check_buffers(world);
	check_memory(world);
	check_total_memory(world);
}
