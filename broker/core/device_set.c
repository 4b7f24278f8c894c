/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "device_set.h"
#include "end.h"
#include "lease_set.h"
#include "news.h"
#include "notify.h"

#define FIRST_PAUSE	1000000ULL
#define LONGEST_PAUSE	60000000ULL
#define PATIENCE	10000000ULL	/* of a device that the catalogue does not have */

struct device *device_find(const struct core *core, const char *bdf)
{
	for (size_t i = 0; i < core->nr_devices; i++)
		if (!strcmp(core->devices[i]->r.bdf, bdf))
			return core->devices[i];
	return NULL;
}

struct device *device_numbered(const struct core *core, uint32_t number)
{
	for (size_t i = 0; i < core->nr_devices; i++)
		if (core->devices[i]->number == number)
			return core->devices[i];
	return NULL;
}

struct device *device_add(struct core *core, const char *bdf)
{
	struct device *device = calloc(1, sizeof(*device));
	struct device **devices = realloc(core->devices, (core->nr_devices + 1) * sizeof(*devices));

	if (devices)
		core->devices = devices;
	if (!device || !devices) {
		free(device);
		return NULL;
	}
	strcpy(device->r.bdf, bdf);
	device->number = core->next_number++;
	device->patience = PATIENCE;
	device->pause = FIRST_PAUSE;
	core->devices[core->nr_devices++] = device;
	return device;
}

void device_forget(struct core *core, struct device *device)
{
	size_t i = 0;

	if (device->configured || device->phase != DEVICE_ABSENT)
		return;
	EMIT(core, EFFECT_FORGET_DEVICE, .device = device->number, .bdf = device->r.bdf);
	while (core->devices[i] != device)
		i++;
	core->devices[i] = core->devices[--core->nr_devices];
	for (int j = 0; j < 2; j++) {
		ranges_free(&device->taken[j]);
		ranges_free(&device->claimed[j]);
	}
	free(device);
}

static void save(struct core *core, struct device *device)
{
	EMIT(core, EFFECT_SAVE_DEVICE, .device = device->number, .saved_device = &device->r);
}

static void open_it(struct core *core, struct device *device)
{
	device->phase = DEVICE_OPENING;
	device->deadline = core->now + device->patience;
	EMIT(core, EFFECT_OPEN, .device = device->number, .bdf = device->r.bdf);
}

void device_came(struct device *device)
{
	device->pause = FIRST_PAUSE;
}

void device_open(struct core *core, struct device *device)
{
	device->suspended = false;
	/* Before it is open: a process that finds it open must not treat it as prepared. */
	device->r.prepared = false;
	save(core, device);
	open_it(core, device);
}

/* Each lease of the device that has not ended.  Backwards, because some are forgotten. */
static void for_each_lease(struct core *core, struct device *device,
			   void (*each)(struct core *, struct lease *))
{
	for (size_t i = core->leases.nr; i--; ) {
		struct lease *lease = core->leases.items[i];

		if (lease->device == device)
			each(core, lease);
	}
}

static void end_later(struct core *core, struct lease *lease)
{
	if (lease->r.phase == LEASE_EXPORTING || lease->r.phase == LEASE_ENDING)
		deadline_set(&core->deadlines, lease, 0);
	end_begin(core, lease, END_DEVICE);
}

static void end_now(struct core *core, struct lease *lease)
{
	if (!lease->r.end)
		lease->r.end = END_DEVICE;
	end_complete(core, lease);
}

/* For leases of a device that was closed meanwhile. */
static void end_if_lent(struct core *core, struct lease *lease)
{
	if (lease_takes_bytes(lease))
		end_now(core, lease);
}

void device_lose(struct core *core, struct device *device, const char *why)
{
	device->failed = NULL;
	if (device->phase == DEVICE_ABSENT || device->phase == DEVICE_CLOSING)
		return;
	device->phase = DEVICE_CLOSING;
	device->why = why;
	device->deadline = 0;
	device->unsettled = 0;
	for_each_lease(core, device, end_later);
	EMIT(core, EFFECT_LOG, .log = LOG_DEVICE_LOST, .device = device->number, .why = why);
	news_of_device(core, NEWS_DEVICE_LOST, device);
	EMIT(core, EFFECT_CLOSE, .device = device->number, .bdf = device->r.bdf);
}

static void set_absent(struct core *core, struct device *device)
{
	device->phase = DEVICE_ABSENT;
	for_each_lease(core, device, end_now);
	device->deadline = device->configured ? core->now + device->pause : 0;
	device->pause = device->pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : device->pause * 2;
	EMIT(core, EFFECT_LOG, .log = LOG_DEVICE_ABSENT, .device = device->number);
}

void device_take_over(struct core *core, struct device *device, bool stored)
{
	if (!device->configured && stored) {
		device->phase = DEVICE_OPENING;
		device_lose(core, device, "it is not configured");
	} else if (!device->configured) {
		set_absent(core, device);
		device_forget(core, device);
	} else if (stored) {
		open_it(core, device);
	} else {
		for_each_lease(core, device, end_if_lent);
		device_open(core, device);
	}
}

void device_closed(struct core *core, struct device *device)
{
	set_absent(core, device);
	device_forget(core, device);
}

static void go_on(struct core *core, struct device *device)
{
	if (device->unsettled)
		return;
	if (!device->r.prepared) {
		device->deadline = core->now + device->patience;
		EMIT(core, EFFECT_PREPARE, .device = device->number);
		return;
	}
	device->phase = DEVICE_OPEN;
	device->why = NULL;
	device->deadline = 0;
	device->pause = FIRST_PAUSE;
	device->changed = true;
	EMIT(core, EFFECT_LOG, .log = LOG_DEVICE_OPEN, .device = device->number);
	news_of_device(core, NEWS_DEVICE_OPEN, device);
}

static const struct listed *find_listed(const struct event *event, uint64_t id)
{
	for (size_t i = 0; i < event->nr_buffers; i++)
		if (event->buffers[i].id == id)
			return &event->buffers[i];
	return NULL;
}

static bool is_of_a_lease(const struct core *core, const struct device *device, uint64_t buffer)
{
	for (size_t i = 0; i < core->leases.nr; i++) {
		const struct lease *lease = core->leases.items[i];

		if (lease->device == device && lease->r.buffer == buffer)
			return true;
	}
	return false;
}

/*
 * Buffers that the state does not have are revoked.  Leases whose buffers the kernel does
 * not have end.
 */
static void compare(struct core *core, struct device *device, const struct event *event)
{
	for (size_t i = 0; i < event->nr_buffers; i++) {
		const struct listed *buffer = &event->buffers[i];

		if (buffer->revoked || is_of_a_lease(core, device, buffer->id))
			continue;
		/* A process can have had it, and can have left any state in the device. */
		if (device->r.prepared) {
			device->r.prepared = false;
			save(core, device);
		}
		device->unsettled++;
		EMIT(core, EFFECT_REVOKE, .device = device->number, .buffer = buffer->id);
	}
	for (size_t i = core->leases.nr; i--; ) {
		struct lease *lease = core->leases.items[i];
		const struct listed *buffer;

		if (lease->device != device || lease->r.phase < LEASE_GRANTED)
			continue;
		buffer = find_listed(event, lease->r.buffer);
		if (lease->r.phase == LEASE_ENDING)
			end_go_on(core, lease);
		else if (!buffer)
			/* No process has an fd or a mapping. */
			end_begin(core, lease, END_CLIENT);
		else if (buffer->revoked)
			end_begin(core, lease, END_DEVICE);
		else
			/* Only now is it known whether the slice is suspended. */
			notify(core, lease);
	}
}

void device_opened(struct core *core, struct device *device, const struct event *event)
{
	if (!event->ok) {
		device->why = "it cannot be opened";
		set_absent(core, device);
		device_forget(core, device);
		return;
	}
	device->phase = DEVICE_SETTLING;
	device->deadline = core->now + device->patience;
	device_set_suspended(core, device, event->suspended);
	if (event->fresh)
		for_each_lease(core, device, end_if_lent);
	else
		compare(core, device, event);
	if (!device->r.prepared && device->nr_taking)
		device->failed = "it has leases, and was not prepared";
	else
		go_on(core, device);
}

void device_settled(struct core *core, struct device *device, bool ok)
{
	if (!ok) {
		device->failed = "a buffer without a lease cannot be revoked";
		return;
	}
	device->unsettled--;
	go_on(core, device);
}

void device_prepared(struct core *core, struct device *device, bool ok)
{
	if (!ok) {
		device->failed = "it cannot be prepared";
		return;
	}
	device->r.prepared = true;
	save(core, device);
	go_on(core, device);
}

static void notify_if_granted(struct core *core, struct lease *lease)
{
	if (lease->r.phase == LEASE_GRANTED)
		notify(core, lease);
}

void device_set_suspended(struct core *core, struct device *device, bool suspended)
{
	if (device->suspended == suspended)
		return;
	device->suspended = suspended;
	news_of_device(core, suspended ? NEWS_DEVICE_SUSPENDED : NEWS_DEVICE_RESUMED, device);
	for_each_lease(core, device, notify_if_granted);
}
