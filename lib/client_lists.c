/* SPDX-License-Identifier: MIT */
/* The lists and the status of the broker. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

static_assert((int)VDB_DEVICE_CLOSING == (int)VDP_DEVICE_CLOSING &&
	      (int)VDB_DEVICE_OPEN == (int)VDP_DEVICE_OPEN, "same phases");
static_assert((int)VDB_LEASE_ENDED == (int)VDP_LEASE_ENDED &&
	      (int)VDB_LEASE_GRANTED == (int)VDP_LEASE_GRANTED, "same phases");

/* An array of messages of one size. */
struct items {
	char *bytes;
	size_t nr, room, size;
};

static void *item(const struct items *items, size_t i)
{
	return items->bytes + i * items->size;
}

static int add(struct vdb_client *client, struct items *items, const struct message *m)
{
	/* A broker that is restarted, or reads its configuration, begins again. */
	if (!m->body.header.item)
		items->nr = 0;
	if (m->body.header.item != items->nr)
		return client_break_off(client, EPROTO, "the broker's list has a gap");
	if (items->nr == items->room) {
		size_t room = items->room ? 2 * items->room : 16;
		char *bytes = realloc(items->bytes, room * items->size);

		if (!bytes)
			return client_fail(client, ENOMEM, "there is no memory for the list");
		items->bytes = bytes;
		items->room = room;
	}
	memcpy(item(items, items->nr++), m->body.bytes, items->size);
	return 0;
}

/* All of a list, to be freed; 0 or -1. */
static int get(struct vdb_client *client, uint32_t type, struct items *items)
{
	uint64_t deadline = client_deadline(client->timeout_ms);
	struct vdp_plain list;
	struct message m;

	if (client_send(client, &list.header, type, sizeof(list), deadline))
		return -1;
	for (;;) {
		if (client_answer(client, list.header.serial, &m, deadline))
			return -1;
		if (m.body.header.type == (type | VDP_ANSWER))
			return 0;
		if (m.body.header.type != (type | VDP_ITEM))
			return client_break_off(client, EPROTO, "the broker's answer does not fit the request");
		if (add(client, items, &m))
			return -1;
	}
}

#define IS_TEXT(field)	client_is_text(field, sizeof(field))

static bool check_slice(const void *item)
{
	const struct vdp_slice_item *slice = item;

	return IS_TEXT(slice->name) && IS_TEXT(slice->bdf);
}

static bool check_lease(const void *item)
{
	const struct vdp_lease_item *lease = item;

	return IS_TEXT(lease->name) && IS_TEXT(lease->bdf) && IS_TEXT(lease->client);
}

static bool check_device(const void *item)
{
	const struct vdp_device_item *device = item;

	return IS_TEXT(device->name) && IS_TEXT(device->bdf) && IS_TEXT(device->reason);
}

static bool check_account(const void *item)
{
	(void)item;
	return true;
}

/* The same, and each item is valid. */
static int get_checked(struct vdb_client *client, uint32_t type, bool (*check)(const void *),
		       struct items *items)
{
	int ret = get(client, type, items);

	for (size_t i = 0; !ret && i < items->nr; i++)
		if (!check(item(items, i)))
			ret = client_break_off(client, EPROTO, "the broker's list has a text without an end");
	if (ret) {
		free(items->bytes);
		*items = (struct items){ 0 };
	}
	return ret;
}

int vdb_client_slices(struct vdb_client *client,
		      bool (*each)(const struct vdb_slice_info *, void *), void *data)
{
	struct items items = { .size = sizeof(struct vdp_slice_item) };
	bool all = true;

	if (get_checked(client, VDP_LIST_SLICES, check_slice, &items))
		return -1;
	for (size_t i = 0; i < items.nr && all; i++) {
		const struct vdp_slice_item *slice = item(&items, i);

		all = each(&(struct vdb_slice_info){
			.name = slice->name,
			.bdf = slice->bdf,
			.bar = slice->bar,
			.flags = slice->flags & (VDP_READ_ONLY | VDP_WC),
			.exclusive = slice->flags & VDP_EXCLUSIVE,
			.offset = slice->offset,
			.length = slice->length,
			.count = slice->count,
			.free = slice->free,
			.waiting = slice->waiting,
			.max_seconds = slice->max_seconds,
			.device = (enum vdb_device_phase)slice->device,
			.memory = slice->memory,
			.interrupt = slice->flags & VDP_INTERRUPT,
		}, data);
	}
	free(items.bytes);
	return !all;
}

static enum vdb_state state_of(const struct vdp_lease_item *lease)
{
	if (lease->phase >= VDP_LEASE_ENDED)
		return VDB_STATE_REVOKED;
	return lease->state == VDP_STATE_SUSPENDED ? VDB_STATE_SUSPENDED : VDB_STATE_LIVE;
}

int vdb_client_leases(struct vdb_client *client,
		      bool (*each)(const struct vdb_lease_info *, void *), void *data)
{
	struct items items = { .size = sizeof(struct vdp_lease_item) };
	bool all = true;

	if (get_checked(client, VDP_LIST_LEASES, check_lease, &items))
		return -1;
	for (size_t i = 0; i < items.nr && all; i++) {
		const struct vdp_lease_item *lease = item(&items, i);

		all = each(&(struct vdb_lease_info){
			.id = lease->lease,
			.name = lease->name,
			.bdf = lease->bdf,
			.client = lease->client,
			.bar = lease->bar,
			.flags = lease->flags & (VDP_READ_ONLY | VDP_WC),
			.offset = lease->offset,
			.length = lease->length,
			.index = lease->index,
			.seconds = lease->seconds,
			.pid = lease->pid,
			.uid = lease->uid,
			.gid = lease->gid,
			.state = state_of(lease),
			.phase = (enum vdb_lease_phase)lease->phase,
			.end = (enum vdb_end)lease->end,
			.memory = lease->memory,
			.iova = lease->iova,
			.interrupt = lease->flags & VDP_INTERRUPT,
		}, data);
	}
	free(items.bytes);
	return !all;
}

int vdb_client_devices(struct vdb_client *client,
		       bool (*each)(const struct vdb_device_info *, void *), void *data)
{
	struct items items = { .size = sizeof(struct vdp_device_item) };
	bool all = true;

	if (get_checked(client, VDP_LIST_DEVICES, check_device, &items))
		return -1;
	for (size_t i = 0; i < items.nr && all; i++) {
		const struct vdp_device_item *device = item(&items, i);

		all = each(&(struct vdb_device_info){
			.name = device->name,
			.bdf = device->bdf,
			.phase = (enum vdb_device_phase)device->phase,
			.suspended = device->state == VDP_STATE_SUSPENDED,
			.leases = device->leases,
			.waiting = device->waiting,
			.reason = device->reason,
		}, data);
	}
	free(items.bytes);
	return !all;
}

static struct vdb_share share_of(const struct vdp_share *share)
{
	return (struct vdb_share){ .used = share->used, .kept = share->kept, .limit = share->limit };
}

int vdb_client_accounts(struct vdb_client *client,
			bool (*each)(const struct vdb_account_info *, void *), void *data)
{
	struct items items = { .size = sizeof(struct vdp_account_item) };
	bool all = true;

	if (get_checked(client, VDP_LIST_ACCOUNTS, check_account, &items))
		return -1;
	for (size_t i = 0; i < items.nr && all; i++) {
		const struct vdp_account_item *account = item(&items, i);

		all = each(&(struct vdb_account_info){
			.user = account->user,
			.clients = share_of(&account->clients),
			.leases = share_of(&account->leases),
			.memory = {
				.used = account->memory.used,
				.kept = account->memory.kept,
				.limit = account->memory.limit,
			},
		}, data);
	}
	free(items.bytes);
	return !all;
}

static struct vdb_total total_of(const struct vdp_total *total)
{
	return (struct vdb_total){
		.used = total->used,
		.limit = total->limit,
		.pool_used = total->pool_used,
		.pool = total->pool,
		.per_user = total->per_user,
	};
}

int vdb_client_status_sized(struct vdb_client *client, struct vdb_status *status, size_t size)
{
	struct vdp_plain request;
	struct vdb_status found;
	struct message m;

	if (!vdb_is_size(size, VDB_FIRST_STATUS))
		return client_fail(client, EINVAL, "the program's struct is smaller than the library's first one");
	if (client_request(client, &request.header, VDP_STATUS, sizeof(request),
			   VDP_STATUS | VDP_ANSWER, &m))
		return -1;
	if (!IS_TEXT(m.body.status.problem))
		return client_break_off(client, EPROTO, "the broker's status has a text without an end");
	found = (struct vdb_status){
		.grants = m.body.status.flags & VDP_STATUS_GRANTS,
		.admin = m.body.status.flags & VDP_STATUS_ADMIN,
		.leases_per_client = m.body.status.leases_per_client,
		.clients = total_of(&m.body.status.clients),
		.leases = total_of(&m.body.status.leases),
		.devices = m.body.status.devices,
		.devices_open = m.body.status.devices_open,
		.memory = {
			.used = m.body.status.memory.used,
			.limit = m.body.status.memory.limit,
			.pool_used = m.body.status.memory.pool_used,
			.pool = m.body.status.memory.pool,
			.per_user = m.body.status.memory.per_user,
			.per_client = m.body.status.memory.per_client,
		},
	};
	memcpy(found.problem, m.body.status.problem, sizeof(found.problem));
	vdb_fill(status, size, &found, sizeof(found));
	return 0;
}
