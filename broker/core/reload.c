/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "device_set.h"
#include "end.h"
#include "lease_set.h"
#include "reload.h"

#define USEC	1000000ULL

static bool has_place_of(const struct lease *lease, const struct slice *slice)
{
	if (lease->r.bar != slice->bar || lease->r.length != slice->length ||
	    lease->r.memory != slice->memory)
		return false;
	if (lease->r.phase == LEASE_WAITING)
		return lease->r.offset == slice->offset && lease->r.count == slice->count;
	return lease->r.index < slice->count &&
	       lease->r.offset == slice->offset + lease->r.index * slice->length;
}

/* A client can ask for less than the slice offers: read-only. */
static bool has_kind_of(const struct lease *lease, const struct slice *slice)
{
	uint32_t same = SLICE_WC | SLICE_EXCLUSIVE | SLICE_INTERRUPT;

	return (lease->r.flags & same) == (slice->flags & same) &&
	       (lease->r.flags & SLICE_READ_ONLY || !(slice->flags & SLICE_READ_ONLY));
}

static void limit_time(struct core *core, struct lease *lease, uint32_t max_seconds)
{
	uint64_t latest = core->now + max_seconds * USEC;

	lease->r.max_seconds = max_seconds;
	if (max_seconds && (!lease->r.seconds || lease->r.seconds > max_seconds))
		lease->r.seconds = max_seconds;
	if (lease->r.phase == LEASE_GRANTED && max_seconds &&
	    (!lease->r.expires || lease->r.expires > latest)) {
		lease->r.expires = latest;
		deadline_set(&core->deadlines, lease, latest);
	}
	lease_save(core, lease);
}

static void check(struct core *core, struct lease *lease)
{
	const struct catalogue_device *device = NULL;
	const struct slice *slice = catalogue_find_slice(core->catalogue, lease->r.slice, &device);

	if (!slice || strcmp(device->bdf, lease->r.bdf) || !has_place_of(lease, slice) ||
	    !has_kind_of(lease, slice) ||
	    (lease->client && !policy_allows(&slice->rule, lease->client->who)))
		end_begin(core, lease, END_REVOKED);
	else if (lease->r.max_seconds != slice->max_seconds)
		limit_time(core, lease, slice->max_seconds);
}

void reload_end_forbidden(struct core *core)
{
	for (size_t i = core->leases.nr; core->catalogue && i--; ) {
		struct lease *lease = core->leases.items[i];

		if (!lease->r.end && lease->r.phase != LEASE_ENDED)
			check(core, lease);
	}
}

int reload_add_devices(struct core *core, const struct catalogue *catalogue)
{
	for (size_t i = 0; catalogue && i < catalogue->nr_devices; i++)
		if (!device_find(core, catalogue->devices[i].bdf) &&
		    !device_add(core, catalogue->devices[i].bdf))
			return -1;
	return 0;
}

void reload_mark_devices(struct core *core)
{
	for (size_t i = 0; i < core->nr_devices; i++) {
		struct device *device = core->devices[i];
		const struct catalogue_device *configured = core->catalogue ?
			catalogue_find_device(core->catalogue, device->r.bdf) : NULL;

		/* Without a catalogue, existing devices stay as they are. */
		device->configured = configured || !core->catalogue;
		if (configured)
			device->patience = configured->patience;
	}
}

/* A driver cannot continue with what another one has set up for the device and its leases. */
static bool has_other_driver(const struct catalogue *former, const struct catalogue *now,
			     const char *bdf)
{
	const struct catalogue_device *before = former ? catalogue_find_device(former, bdf) : NULL;
	const struct catalogue_device *after = catalogue_find_device(now, bdf);

	return before && after && before->driver != after->driver;
}

void reload(struct core *core, const struct catalogue *catalogue)
{
	const struct catalogue *former = core->catalogue;

	if (!catalogue || reload_add_devices(core, catalogue))
		return;
	core->catalogue = catalogue;
	accounts_set(&core->accounts, catalogue);
	reload_mark_devices(core);
	reload_end_forbidden(core);
	for (size_t i = core->nr_devices; i--; ) {
		struct device *device = core->devices[i];

		if (!device->configured && device->phase != DEVICE_ABSENT)
			device_lose(core, device, "it is no longer configured");
		else if (!device->configured)
			device_forget(core, device);
		else if (has_other_driver(former, catalogue, device->r.bdf))
			device_lose(core, device, "its driver was changed in the configuration");
		else if (device->phase == DEVICE_ABSENT)
			device_open(core, device);
	}
}
