/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "core/account.h"
#include "core/client.h"
#include "core/device.h"
#include "protocol/encode.h"
#include "protocol/list.h"

#define USEC	1000000ULL

static_assert((int)VDP_DEVICE_ABSENT == (int)DEVICE_ABSENT &&
	      (int)VDP_DEVICE_OPENING == (int)DEVICE_OPENING &&
	      (int)VDP_DEVICE_SETTLING == (int)DEVICE_SETTLING &&
	      (int)VDP_DEVICE_OPEN == (int)DEVICE_OPEN &&
	      (int)VDP_DEVICE_CLOSING == (int)DEVICE_CLOSING, "same phases");
static_assert((int)VDP_LEASE_WAITING == (int)LEASE_WAITING &&
	      (int)VDP_LEASE_EXPORTING == (int)LEASE_EXPORTING &&
	      (int)VDP_LEASE_GRANTED == (int)LEASE_GRANTED &&
	      (int)VDP_LEASE_ENDING == (int)LEASE_ENDING &&
	      (int)VDP_LEASE_ENDED == (int)LEASE_ENDED, "same phases");

static void begin(struct packet *packet, const struct list *list, uint32_t type, size_t size)
{
	memset(packet, 0, sizeof(*packet));
	packet->size = size;
	packet->body.header.type = list->type | type;
	packet->body.header.item = type == VDP_ITEM ? list->item : 0;
	packet->body.header.serial = list->serial;
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ?: "");
}

static const struct device *find_device(const struct core *core, const char *bdf)
{
	const struct device *device;

	for (size_t i = 0; (device = core_device(core, i)); i++)
		if (!strcmp(device->r.bdf, bdf))
			return device;
	return NULL;
}

/* How many of an array could be granted now to a request that does not wait. */
static uint32_t count_free(const struct slice *slice, const struct device *device)
{
	uint32_t free = 0;

	if (!device || device->phase != DEVICE_OPEN)
		return 0;
	for (uint32_t i = 0; i < slice->count; i++) {
		struct place place = { slice->offset + i * slice->length, slice->length, slice->bar };

		free += !ranges_overlap(&device->taken[1], &place) &&
			(!(slice->flags & SLICE_EXCLUSIVE) || !ranges_overlap(&device->taken[0], &place));
	}
	return free;
}

static uint32_t count_waiting(const struct device *device, const char *slice)
{
	uint32_t waiting = 0;

	for (const struct lease *lease = device ? device->waiting : NULL; lease; lease = lease->next_waiting)
		waiting += !slice || !strcmp(lease->r.slice, slice);
	return waiting;
}

static void make_slice(struct packet *packet, const struct list *list, const struct view *view,
		       const struct catalogue_device *of, const struct slice *slice)
{
	const struct device *device = find_device(view->core, of->bdf);
	struct vdp_slice_item *item = &packet->body.slice;

	begin(packet, list, VDP_ITEM, sizeof(*item));
	copy(item->name, sizeof(item->name), slice->name);
	copy(item->bdf, sizeof(item->bdf), of->bdf);
	item->offset = slice->offset;
	item->length = slice->length;
	item->bar = slice->bar;
	item->flags = slice->flags;
	item->count = slice->count;
	item->free = count_free(slice, device);
	item->waiting = count_waiting(device, slice->name);
	item->max_seconds = slice->max_seconds;
	item->device = device ? device->phase : DEVICE_ABSENT;
	item->memory = slice->memory;
}

static bool next_slice(struct list *list, const struct view *view, bool admin, struct packet *packet)
{
	const struct client *client = core_find_client(view->core, list->client);

	for (; view->catalogue && list->next < view->catalogue->nr_devices; list->next++, list->slice = 0) {
		const struct catalogue_device *device = &view->catalogue->devices[list->next];

		while (list->slice < device->nr_slices) {
			const struct slice *slice = &device->slices[list->slice++];

			if (!admin && !(client && policy_allows(&slice->rule, client->who)))
				continue;
			make_slice(packet, list, view, device, slice);
			return true;
		}
	}
	return false;
}

static uint32_t seconds_until(uint64_t time, uint64_t now)
{
	if (!time)
		return 0;
	/* 0 means no limit, so a time that is over is 1 until the core notices. */
	return time > now ? (time - now + USEC - 1) / USEC : 1;
}

static void make_lease(struct packet *packet, const struct list *list, const struct view *view,
		       const struct lease *lease)
{
	const struct identity *who = lease->client ? lease->client->who : NULL;
	struct vdp_lease_item *item = &packet->body.lease;
	bool waits = lease->r.phase == LEASE_WAITING;

	begin(packet, list, VDP_ITEM, sizeof(*item));
	item->lease = lease->r.id;
	copy(item->name, sizeof(item->name), lease->r.slice);
	copy(item->bdf, sizeof(item->bdf), lease->r.bdf);
	copy(item->client, sizeof(item->client), lease->client ? lease->client->r.name : NULL);
	item->offset = lease->r.offset;
	item->length = lease->r.length;
	item->bar = lease->r.bar;
	item->flags = lease->r.flags;
	item->index = waits ? lease->r.wanted : lease->r.index;
	item->seconds = seconds_until(waits ? lease->r.wait_until : lease->r.expires, view->now);
	item->pid = who ? who->pid : 0;
	item->uid = who ? who->uid : 0;
	item->gid = who ? who->gid : 0;
	item->state = lease->device && lease->device->suspended ? VDP_STATE_SUSPENDED : VDP_STATE_LIVE;
	item->phase = lease->r.phase;
	item->end = lease->r.end;
	item->memory = lease->r.memory;
	item->iova = lease->r.phase == LEASE_ENDED ? 0 : lease->r.iova;
}

/* Between two messages leases can be added and forgotten.  Their ids grow. */
static size_t first_lease(const struct core *core, uint64_t id)
{
	const struct lease *lease;
	size_t i = 0;

	while ((lease = core_lease(core, i)) && lease->r.id < id)
		i++;
	return i;
}

static bool next_lease(struct list *list, const struct view *view, bool admin, struct packet *packet)
{
	const struct lease *lease;

	for (size_t i = first_lease(view->core, list->next); (lease = core_lease(view->core, i)); i++) {
		if (!admin && !(lease->client && lease->client->r.id == list->client))
			continue;
		list->next = lease->r.id + 1;
		make_lease(packet, list, view, lease);
		return true;
	}
	return false;
}

static const char *name_of(const struct catalogue *catalogue, const char *bdf)
{
	const struct catalogue_device *device = catalogue ? catalogue_find_device(catalogue, bdf) : NULL;

	return device ? device->name : NULL;
}

static void make_device(struct packet *packet, const struct list *list, const struct view *view,
			const struct device *device)
{
	struct vdp_device_item *item = &packet->body.device;

	begin(packet, list, VDP_ITEM, sizeof(*item));
	copy(item->name, sizeof(item->name), name_of(view->catalogue, device->r.bdf));
	copy(item->bdf, sizeof(item->bdf), device->r.bdf);
	item->phase = device->phase;
	item->state = device->suspended ? VDP_STATE_SUSPENDED : VDP_STATE_LIVE;
	item->leases = device->nr_taking;
	item->waiting = count_waiting(device, NULL);
	if (device->phase == DEVICE_OPEN)
		return;
	if (view->explain)
		view->explain(view->shell, device, item->reason, sizeof(item->reason));
	else
		copy(item->reason, sizeof(item->reason), device->why);
}

/* Devices are not sorted: the last takes the place of one that is forgotten. */
static bool next_device(struct list *list, const struct view *view, struct packet *packet)
{
	const struct device *device, *next = NULL;

	for (size_t i = 0; (device = core_device(view->core, i)); i++)
		if (device->number >= list->next && (!next || device->number < next->number))
			next = device;
	if (!next)
		return false;
	list->next = next->number + 1ULL;
	make_device(packet, list, view, next);
	return true;
}

static struct vdp_share share_of(const struct accounts *accounts, const struct account *account,
				 enum resource resource)
{
	uint64_t kept = account->kept[resource], limit = accounts->per_user[resource];

	return (struct vdp_share){
		.used = account->used[resource],
		.kept = kept,
		.limit = kept > limit ? kept : limit,
	};
}

static struct vdp_memory_share memory_share_of(const struct accounts *accounts,
					       const struct account *account)
{
	uint64_t kept = account->kept[MEMORY_BYTES], limit = accounts->per_user[MEMORY_BYTES];

	return (struct vdp_memory_share){
		.used = account->used[MEMORY_BYTES],
		.kept = kept,
		.limit = kept > limit ? kept : limit,
	};
}

static bool next_account(struct list *list, const struct view *view, bool admin, struct packet *packet)
{
	const struct accounts *accounts = core_accounts(view->core);
	const struct client *client = core_find_client(view->core, list->client);

	for (size_t i = 0; i < accounts->table.nr; i++) {
		const struct account *account = accounts->table.items[i];

		/* No user is the greatest number of 64 bits, so this does not overflow. */
		if (account->user < list->next || (!admin && !(client && client->account == account)))
			continue;
		list->next = account->user + 1;
		begin(packet, list, VDP_ITEM, sizeof(packet->body.account));
		packet->body.account.user = account->user;
		packet->body.account.clients = share_of(accounts, account, CLIENTS);
		packet->body.account.leases = share_of(accounts, account, LEASES);
		packet->body.account.memory = memory_share_of(accounts, account);
		return true;
	}
	return false;
}

static uint64_t used_of(const struct accounts *accounts, enum resource resource)
{
	uint64_t used = 0;

	for (size_t i = 0; i < accounts->table.nr; i++) {
		const struct account *account = accounts->table.items[i];

		used += account->used[resource];
	}
	return used;
}

static struct vdp_memory_total memory_total_of(const struct accounts *accounts,
					       const struct catalogue *catalogue, bool admin)
{
	struct vdp_memory_total total = {
		.per_user = accounts->per_user[MEMORY_BYTES],
		.per_client = catalogue ? catalogue->memory_per_client : 0,
	};

	if (!admin)
		return total;
	total.used = used_of(accounts, MEMORY_BYTES);
	total.pool_used = accounts->pool_used[MEMORY_BYTES];
	total.pool = accounts->pool[MEMORY_BYTES];
	total.limit = catalogue ? catalogue->total[MEMORY_BYTES] : total.pool;
	return total;
}

static struct vdp_total total_of(const struct accounts *accounts, const struct catalogue *catalogue,
				 enum resource resource, bool admin)
{
	struct vdp_total total = { .per_user = accounts->per_user[resource] };

	if (!admin)
		return total;
	total.used = used_of(accounts, resource);
	total.pool_used = accounts->pool_used[resource];
	total.pool = accounts->pool[resource];
	total.limit = catalogue ? catalogue->total[resource] : total.pool;
	return total;
}

static void make_status(struct packet *packet, const struct list *list, const struct view *view, bool admin)
{
	const struct accounts *accounts = core_accounts(view->core);
	struct vdp_status_answer *status = &packet->body.status;
	const struct device *device;

	begin(packet, list, VDP_ANSWER, sizeof(*status));
	status->flags = (view->catalogue ? VDP_STATUS_GRANTS : 0) | (admin ? VDP_STATUS_ADMIN : 0);
	status->leases_per_client = view->catalogue ? view->catalogue->leases_per_client : 0;
	status->clients = total_of(accounts, view->catalogue, CLIENTS, admin);
	status->leases = total_of(accounts, view->catalogue, LEASES, admin);
	status->memory = memory_total_of(accounts, view->catalogue, admin);
	if (!admin)
		return;
	for (size_t i = 0; (device = core_device(view->core, i)); i++) {
		status->devices++;
		status->devices_open += device->phase == DEVICE_OPEN;
	}
	copy(status->problem, sizeof(status->problem), view->problem);
}

void list_begin(struct list *list, const struct request *request)
{
	*list = (struct list){
		.type = request->type,
		.client = request->client,
		.serial = request->serial,
	};
}

void list_again(struct list *list)
{
	list->item = 0;
	list->next = 0;
	list->slice = 0;
}

bool list_next(struct list *list, const struct view *view, struct packet *packet)
{
	bool admin = core_is_admin(view->core, list->client);
	bool more = false;

	switch (list->type) {
	case VDP_LIST_SLICES:
		more = next_slice(list, view, admin, packet);
		break;
	case VDP_LIST_LEASES:
		more = next_lease(list, view, admin, packet);
		break;
	case VDP_LIST_ACCOUNTS:
		more = next_account(list, view, admin, packet);
		break;
	case VDP_LIST_DEVICES:
		if (!admin) {
			encode_error(packet, list->serial, VDP_ERROR_FORBIDDEN,
				     "only administrators can list devices; ask one, or have the setting \"admins\" of the broker name you");
			return false;
		}
		more = next_device(list, view, packet);
		break;
	default:
		make_status(packet, list, view, admin);
		return false;
	}
	if (more)
		list->item++;
	else
		begin(packet, list, VDP_ANSWER, sizeof(packet->body.plain));
	return more;
}
