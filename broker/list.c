/* SPDX-License-Identifier: MIT */
/*
 * Lists: sent item by item, as the client reads them, with a place to go on
 * from.  The place is a position in the configuration, or the id of a lease:
 * ids only grow, so whatever comes and goes meanwhile, nothing is told twice, unless
 * the list begins anew: with a new configuration, or another process.
 */
#include <string.h>

#include "broker.h"

static uint32_t count_free(struct broker *broker, const struct device *device,
			   const struct slice_config *slice)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < slice->count; i++)
		count += !lease_conflict(broker, device, slice->bar,
					 slice->offset + i * slice->length, slice->length,
					 slice->exclusive);
	return count;
}

/* The slice at a position that counts through all devices; NULL: behind the last. */
static const struct slice_config *slice_at(const struct config *config, uint64_t position,
					   const struct device_config **device)
{
	for (size_t i = 0; i < config->nr_devices; i++) {
		*device = &config->devices[i];
		if (position < (*device)->nr_slices)
			return &(*device)->slices[position];
		position -= (*device)->nr_slices;
	}
	return NULL;
}

/* 1: sent; 0: not now; -1: there are no more.  The same for all of them. */
static int next_slice(struct client *client)
{
	struct cursor *list = &client->list;
	struct vdp_slice_item item = {
		.header = { .type = VDP_LIST_SLICES | VDP_ITEM, .serial = list->serial },
	};
	const struct device_config *device;
	const struct slice_config *slice;

	do {
		slice = slice_at(client->broker->config, list->next, &device);
		if (!slice)
			return -1;
		if (client->admin || policy_allows(&slice->rule, &client->who))
			break;
		list->next++;
	} while (true);

	strcpy(item.name, slice->name);
	strcpy(item.bdf, device->bdf);
	item.offset = slice->offset;
	item.length = slice->length;
	item.bar = slice->bar;
	item.flags = slice->flags | (slice->exclusive ? VDP_EXCLUSIVE : 0);
	item.count = slice->count;
	item.free = count_free(client->broker, device_find(client->broker, device->bdf), slice);
	item.max_seconds = slice->max_seconds;
	if (!client_send(client, &item, sizeof(item), NULL, 0))
		return 0;
	list->next++;
	return 1;
}

/* The lease with the smallest id that is not below this one. */
static const struct lease *lease_from(const struct client *client, uint64_t id)
{
	const struct lease *found = NULL;

	for (const struct lease *lease = client->broker->leases; lease; lease = lease->next) {
		if (lease->end || lease->id < id || (lease->client != client && !client->admin))
			continue;
		if (!found || lease->id < found->id)
			found = lease;
	}
	return found;
}

static int next_lease(struct client *client)
{
	struct cursor *list = &client->list;
	const struct lease *lease = lease_from(client, list->next);
	struct vdp_lease_item item = {
		.header = { .type = VDP_LIST_LEASES | VDP_ITEM, .serial = list->serial },
	};

	if (!lease)
		return -1;
	item.lease = lease->id;
	strcpy(item.name, lease->slice_name);
	strcpy(item.bdf, lease->device->bdf);
	strcpy(item.client, lease->client->name);
	item.offset = lease->offset;
	item.length = lease->length;
	item.bar = lease->bar;
	item.flags = lease->flags;
	item.index = lease->index;
	item.seconds = lease_seconds_left(lease);
	item.pid = lease->client->who.pid;
	item.uid = lease->client->who.uid;
	item.gid = lease->client->who.gid;
	item.state = lease->state;
	if (!client_send(client, &item, sizeof(item), NULL, 0))
		return 0;
	list->next = lease->id + 1;
	return 1;
}

static int next_device(struct client *client)
{
	struct cursor *list = &client->list;
	struct vdp_device_item item = {
		.header = { .type = VDP_LIST_DEVICES | VDP_ITEM, .serial = list->serial },
	};
	struct device *device = client->broker->devices;

	for (uint64_t i = 0; device && i < list->next; i++)
		device = device->next;
	if (!device)
		return -1;
	strcpy(item.name, device->name);
	strcpy(item.bdf, device->bdf);
	item.state = device->vdb ? VDP_STATE_LIVE : VDP_STATE_REVOKED;
	for (const struct lease *lease = client->broker->leases; lease; lease = lease->next) {
		if (lease->device != device || lease->end)
			continue;
		item.leases++;
		/* Suspension is the device's, and all its leases are told of it. */
		if (lease->state == VDP_STATE_SUSPENDED)
			item.state = VDP_STATE_SUSPENDED;
	}
	if (!client_send(client, &item, sizeof(item), NULL, 0))
		return 0;
	list->next++;
	return 1;
}

static int next(struct client *client)
{
	switch (client->list.type) {
	case VDP_LIST_SLICES:
		return next_slice(client);
	case VDP_LIST_LEASES:
		return next_lease(client);
	default:
		return next_device(client);
	}
}

bool list_go_on(struct client *client)
{
	struct cursor *list = &client->list;
	int ret;

	do {
		ret = next(client);
	} while (ret > 0);
	if (!ret || request_done(client, list->type, list->serial) != HANDLED_DONE)
		return false;
	list->type = 0;
	return true;
}
