/* SPDX-License-Identifier: MIT */
/*
 * Continuing from what a former process has left.  The kernel lists the buffers of a
 * device when it is open.  Until then leases are as the state has them.
 */
#include "connect.h"
#include "device_set.h"
#include "end.h"
#include "news.h"
#include "lease_set.h"
#include "reload.h"
#include "settle.h"
#include "notify.h"

#define START_SHIFT	32	/* ids of each start are greater than those of earlier ones */

static int take_clients(struct core *core, const struct restored *restored)
{
	for (size_t i = 0; i < restored->nr_clients; i++) {
		const struct restored_client *from = &restored->clients[i];
		struct client *client = connect_add(core, from->record.id, from->user, from->who);

		if (!client)
			return -1;
		client->r = from->record;
		client->greeted = true;
		if (from->record.watch && !news_watch(core, client, from->record.watch))
			return -1;
	}
	news_of_restart(core);
	return 0;
}

static int add_devices(struct core *core, const struct restored *restored)
{
	for (size_t i = 0; i < restored->nr_devices; i++) {
		struct device *device = device_add(core, restored->devices[i].record.bdf);

		if (!device)
			return -1;
		device->r = restored->devices[i].record;
	}
	for (size_t i = 0; i < restored->nr_leases; i++)
		if (!device_find(core, restored->leases[i].bdf) &&
		    !device_add(core, restored->leases[i].bdf))
			return -1;
	if (reload_add_devices(core, core->catalogue))
		return -1;
	reload_mark_devices(core);
	return 0;
}

static void have_seen(struct client *client, uint64_t serial)
{
	if (client && client->seen < serial)
		client->seen = serial;
}

/* The buffer of an unfinished export is not known.  It is revoked, and the lease exported again. */
static void wait_again(struct core *core, struct lease *lease)
{
	lease->r.offset -= lease->r.index * lease->r.length;
	lease_wait(lease);
	deadline_set(&core->deadlines, lease, lease->r.wait_until);
	/* It can be granted bytes other than those that the state records as taken. */
	if (lease->r.end)
		end_complete(core, lease);
	else
		lease_save(core, lease);
}

static void go_on(struct core *core, struct lease *lease)
{
	switch (lease->r.phase) {
	case LEASE_WAITING:
		lease_wait(lease);
		deadline_set(&core->deadlines, lease, lease->r.wait_until);
		break;
	case LEASE_EXPORTING:
		wait_again(core, lease);
		break;
	case LEASE_GRANTED:
		lease_take_bytes(lease);
		deadline_set(&core->deadlines, lease, lease->r.expires);
		/*
		 * If it was not sent, the client does not know it, and releases it.  The
		 * client is notified when the device is open.
		 */
		lease->sent = true;
		break;
	case LEASE_ENDING:
		lease_take_bytes(lease);
		break;
	case LEASE_ENDED:
		lease_free_bytes(core, lease);
		notify(core, lease);
		break;
	}
}

static int add_leases(struct core *core, const struct restored *restored)
{
	for (size_t i = 0; i < restored->nr_leases; i++) {
		const struct lease_record *record = &restored->leases[i];
		struct client *client = table_find(&core->clients, record->client);
		struct client *asker = table_find(&core->clients, record->asker);
		struct device *device = device_find(core, record->bdf);
		struct lease *lease = lease_new(core, record, client, device);

		if (!lease)
			return -1;
		lease->saved = true;
		lease->was_granted = record->phase == LEASE_GRANTED || record->phase == LEASE_ENDING;
		have_seen(client, record->serial);
		have_seen(asker, record->asker_serial);
		if (asker && (asker == client || record->asker != record->client))
			lease_set_asker(lease, asker, record->asker_serial);
	}
	return 0;
}

/* All are added before the first one continues, because one can make room for another. */
static void go_on_with_leases(struct core *core)
{
	for (size_t i = core->leases.nr; i--; )
		go_on(core, core->leases.items[i]);
	for (size_t i = core->leases.nr; i--; ) {
		struct lease *lease = core->leases.items[i];

		if (lease->r.phase == LEASE_ENDED)
			end_forget(core, lease);
		else if (!lease->client)
			end_begin(core, lease, END_CLIENT);
	}
}

int core_restore(struct core *core, uint64_t now, const struct restored *restored)
{
	core->now = now;
	core->next_id = ((restored->start + 1) << START_SHIFT) + 1;
	accounts_set(&core->accounts, core->catalogue);
	/* Before any id of this start is given out. */
	EMIT(core, EFFECT_SAVE_START, .start = restored->start + 1);
	if (take_clients(core, restored) || add_devices(core, restored) ||
	    add_leases(core, restored))
		return -1;
	go_on_with_leases(core);
	reload_end_forbidden(core);
	for (size_t i = core->nr_devices; i--; ) {
		bool stored = false;

		for (size_t j = 0; j < restored->nr_devices; j++)
			if (device_find(core, restored->devices[j].record.bdf) == core->devices[i])
				stored = restored->devices[j].stored;
		device_take_over(core, core->devices[i], stored);
	}
	settle(core);
	return 0;
}
