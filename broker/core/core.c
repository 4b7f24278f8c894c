/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "connect.h"
#include "core.h"
#include "device_set.h"
#include "end.h"
#include "grant.h"
#include "news.h"
#include "reload.h"
#include "request.h"
#include "settle.h"
#include "notify.h"

struct core *core_new(const struct catalogue *catalogue, effect_function *effect, void *shell)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	core->catalogue = catalogue;
	core->effect = effect;
	core->shell = shell;
	return core;
}

void core_free(struct core *core)
{
	for (size_t i = 0; i < core->leases.nr; i++)
		free(core->leases.items[i]);
	for (size_t i = 0; i < core->clients.nr; i++)
		free(core->clients.items[i]);
	for (size_t i = 0; i < core->nr_devices; i++) {
		for (int j = 0; j < 2; j++) {
			ranges_free(&core->devices[i]->taken[j]);
			ranges_free(&core->devices[i]->claimed[j]);
		}
		free(core->devices[i]);
	}
	free(core->devices);
	accounts_free(&core->accounts);
	table_free(&core->leases);
	table_free(&core->clients);
	deadlines_free(&core->deadlines);
	free(core->news);
	free(core);
}

static void sent(struct core *core, struct client *client, bool ok)
{
	struct lease *lease = notify_sent(core, client);

	if (!lease)
		return;
	if (!ok && lease->r.phase == LEASE_GRANTED)
		end_begin(core, lease, END_UNSENT);
	else
		end_forget(core, lease);
}

static void handle_client(struct core *core, const struct event *event)
{
	struct client *client = table_find(&core->clients, event->client);

	if (event->type == EVENT_CONNECT) {
		connect_request(core, event);
		return;
	}
	if (!client)
		return;
	if (event->type == EVENT_GONE)
		connect_gone(core, client);
	else if (client->dropped)
		return;
	else if (event->type == EVENT_DROPPED)
		connect_dropped(core, client);
	else if (event->type == EVENT_SENT)
		sent(core, client, event->ok);
	else if (client->greeted || event->type == EVENT_HELLO)
		request_handle(core, client, event);
}

static void handle_lease_result(struct core *core, struct device *device,
				const struct event *event)
{
	struct lease *lease = table_find(&core->leases, event->lease);

	/* Jobs that the worker still had when the device was lost do not matter. */
	if (device->phase != DEVICE_OPEN && device->phase != DEVICE_SETTLING)
		return;
	if (event->type == EVENT_REVOKED && !event->lease)
		device_settled(core, device, event->ok);
	else if (!lease || lease->device != device)
		return;
	else if (event->type == EVENT_EXPORTED && lease->r.phase == LEASE_EXPORTING)
		grant_exported(core, lease, event);
	else if (event->type == EVENT_REVOKED && lease->r.phase == LEASE_ENDING)
		end_revoked(core, lease, event->ok);
	else if (event->type == EVENT_ACTED && lease->r.phase == LEASE_ENDING)
		end_acted(core, lease, event->ok);
	else if (event->type == EVENT_UNMAPPED && lease->r.phase == LEASE_ENDING)
		end_unmapped(core, lease, event->ok);
}

static void handle_device(struct core *core, const struct event *event)
{
	struct device *device = device_numbered(core, event->device);

	if (!device)
		return;
	switch (event->type) {
	case EVENT_OPENED:
		if (device->phase == DEVICE_OPENING)
			device_opened(core, device, event);
		break;
	case EVENT_PREPARED:
		if (device->phase == DEVICE_SETTLING)
			device_prepared(core, device, event->ok);
		break;
	case EVENT_CLOSED:
		if (device->phase == DEVICE_CLOSING)
			device_closed(core, device);
		break;
	case EVENT_PRESENT:
		device_came(device);
		if (device->phase == DEVICE_ABSENT && device->configured)
			device_open(core, device);
		break;
	case EVENT_UNPLUG:
		device_lose(core, device, "it is being unbound or unplugged");
		break;
	case EVENT_SUSPENDED:
		device_set_suspended(core, device, event->suspended);
		break;
	default:
		handle_lease_result(core, device, event);
	}
}

static void handle_late_lease(struct core *core, struct lease *lease)
{
	enum phase phase = lease->r.phase;

	deadline_set(&core->deadlines, lease, 0);
	if (phase == LEASE_WAITING)
		end_begin(core, lease, END_TIMEOUT);
	else if (phase == LEASE_GRANTED)
		end_begin(core, lease, END_EXPIRED);
	else
		lease->device->failed = "it did not answer in time";
}

static void handle_time(struct core *core)
{
	struct lease *lease = deadline_first(&core->deadlines);

	core->armed = 0;
	for (; lease && lease->deadline <= core->now; lease = deadline_first(&core->deadlines))
		handle_late_lease(core, lease);
	for (size_t i = 0; i < core->nr_devices; i++) {
		struct device *device = core->devices[i];

		if (!device->deadline || device->deadline > core->now)
			continue;
		if (device->phase == DEVICE_ABSENT)
			device_open(core, device);
		else
			device->failed = "it did not answer in time";
	}
}

void core_handle(struct core *core, uint64_t now, const struct event *event)
{
	core->now = now;
	if (event->type == EVENT_RELOAD)
		reload(core, event->catalogue);
	else if (event->type == EVENT_TIME)
		handle_time(core);
	else if (event->type <= EVENT_WATCH)
		handle_client(core, event);
	else
		handle_device(core, event);
	settle(core);
}

const struct lease *core_lease(const struct core *core, size_t i)
{
	return i < core->leases.nr ? core->leases.items[i] : NULL;
}

const struct client *core_client(const struct core *core, size_t i)
{
	return i < core->clients.nr ? core->clients.items[i] : NULL;
}

const struct device *core_device(const struct core *core, size_t i)
{
	return i < core->nr_devices ? core->devices[i] : NULL;
}

const struct lease *core_find_lease(const struct core *core, uint64_t id)
{
	return table_find(&core->leases, id);
}

const struct client *core_find_client(const struct core *core, uint64_t id)
{
	return table_find(&core->clients, id);
}

const struct device *core_find_device(const struct core *core, uint32_t number)
{
	return device_numbered(core, number);
}

bool core_has_nothing(const struct core *core, uint64_t id)
{
	const struct client *client = table_find(&core->clients, id);

	return !client || (!client->leases && !client->nr_asked && !client->r.watch);
}

const struct catalogue *core_catalogue(const struct core *core)
{
	return core->catalogue;
}

const struct accounts *core_accounts(const struct core *core)
{
	return &core->accounts;
}

bool core_is_admin(const struct core *core, uint64_t id)
{
	const struct client *client = table_find(&core->clients, id);

	return client && request_is_from_admin(core, client);
}
