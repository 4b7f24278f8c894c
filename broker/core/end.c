/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "end.h"
#include "lease_set.h"
#include "news.h"
#include "notify.h"

static void revoke(struct core *core, struct lease *lease)
{
	/* Otherwise the device continues this when it is open, or closing ends the lease. */
	if (lease->device->phase != DEVICE_OPEN && lease->device->phase != DEVICE_SETTLING)
		return;
	deadline_set(&core->deadlines, lease, core->now + lease->device->patience);
	EMIT(core, EFFECT_REVOKE, .device = lease->device->number, .lease = lease->r.id,
	     .buffer = lease->r.buffer);
}

void end_begin(struct core *core, struct lease *lease, enum end why)
{
	if (lease->r.end)
		return;
	lease->r.end = why;
	switch (lease->r.phase) {
	case LEASE_WAITING:
		end_complete(core, lease);
		break;
	case LEASE_EXPORTING:
		/* The buffer is revoked when its id is known. */
		lease_save(core, lease);
		break;
	case LEASE_GRANTED:
		lease->r.phase = LEASE_ENDING;
		deadline_set(&core->deadlines, lease, 0);
		lease_save(core, lease);
		revoke(core, lease);
		break;
	}
}

void end_go_on(struct core *core, struct lease *lease)
{
	lease->r.phase = LEASE_ENDING;
	revoke(core, lease);
}

void end_complete(struct core *core, struct lease *lease)
{
	lease_free_bytes(core, lease);
	deadline_set(&core->deadlines, lease, 0);
	lease->r.phase = LEASE_ENDED;
	EMIT(core, EFFECT_LOG, .log = LOG_ENDED, .lease = lease->r.id, .saved_lease = &lease->r);
	if (lease->was_granted)
		news_of_lease(core, NEWS_ENDED, lease, 0);
	if (!notify_is_done(lease))
		lease_save(core, lease);
	notify(core, lease);
	end_forget(core, lease);
}

void end_forget(struct core *core, struct lease *lease)
{
	if (lease->r.phase == LEASE_ENDED && notify_is_done(lease))
		lease_forget(core, lease);
}

void end_revoked(struct core *core, struct lease *lease, bool ok)
{
	struct device *device = lease->device;
	const struct actions *actions = &lease->r.actions;
	bool reset = actions->reset == RESET_EACH_TIME ||
		     (actions->reset == RESET_WHEN_IDLE && device->nr_taking == 1);

	if (!ok)
		device->failed = "a lease cannot be revoked";
	else if (actions->nr || reset || lease->r.memory)
		EMIT(core, EFFECT_ACT, .device = device->number, .lease = lease->r.id,
		     .saved_lease = &lease->r, .reset = reset);
	else
		end_complete(core, lease);
}

void end_acted(struct core *core, struct lease *lease, bool ok)
{
	if (!ok)
		lease->device->failed = "an on-release action failed";
	else if (lease->r.memory)
		EMIT(core, EFFECT_UNMAP, .device = lease->device->number, .lease = lease->r.id,
		     .saved_lease = &lease->r);
	else
		end_complete(core, lease);
}

void end_unmapped(struct core *core, struct lease *lease, bool ok)
{
	if (ok)
		end_complete(core, lease);
	else
		lease->device->failed = "the memory of a lease cannot be unmapped";
}

void end_all_of(struct core *core, struct client *client)
{
	struct lease *lease, *next;

	for (lease = client->leases; lease; lease = next) {
		next = lease->next;
		lease_leave_client(lease);
		if (lease->r.phase == LEASE_ENDED)
			end_forget(core, lease);
		else
			end_begin(core, lease, END_CLIENT);
	}
	/* Leases of others that it revokes. */
	for (size_t i = core->leases.nr; client->nr_asked && i--; ) {
		lease = core->leases.items[i];
		if (lease->asker != client)
			continue;
		lease->asker = NULL;
		client->nr_asked--;
		end_forget(core, lease);
	}
}
