/* SPDX-License-Identifier: MIT */
/*
 * Leases: how they are watched, and how they end.
 *
 * The order of an end is the broker's promise: first the kernel's revoke, after
 * which nobody reaches the device through the slice, then the configured
 * actions, then the slice is free for the next one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker.h"
#include "log.h"
#include "store.h"

#define USEC	1000000ULL

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * USEC + t.tv_nsec / 1000;
}

struct lease *lease_new(struct broker *broker, uint64_t id)
{
	struct lease *lease = calloc(1, sizeof(*lease));

	if (!lease)
		return NULL;
	lease->broker = broker;
	lease->id = id;
	lease->next = broker->leases;
	broker->leases = lease;
	return lease;
}

void lease_forget(struct lease *lease)
{
	struct lease **link = &lease->broker->leases;

	while (*link != lease)
		link = &(*link)->next;
	*link = lease->next;
	sd_event_source_disable_unref(lease->source);
	sd_event_source_disable_unref(lease->timer);
	vdb_slice_free(lease->slice);
	free(lease);
}

struct lease *lease_find(struct broker *broker, uint64_t id)
{
	for (struct lease *lease = broker->leases; lease; lease = lease->next)
		if (lease->id == id)
			return lease;
	return NULL;
}

const struct lease *lease_conflict(struct broker *broker, const struct device *device,
				   unsigned int bar, uint64_t offset, uint64_t length,
				   bool exclusive)
{
	for (const struct lease *lease = broker->leases; lease; lease = lease->next) {
		if (lease->end || lease->device != device || lease->bar != bar)
			continue;
		if (!exclusive && !(lease->flags & VDP_EXCLUSIVE))
			continue;
		if (lease->offset < offset + length && offset < lease->offset + lease->length)
			return lease;
	}
	return NULL;
}

static int on_event(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct lease *lease = data;
	enum vdp_state state = (enum vdp_state)vdb_slice_state(lease->slice, NULL);

	(void)source, (void)fd, (void)events;
	if (state == VDP_STATE_REVOKED) {
		/* By nobody but the kernel: the device was closed under us. */
		lease_end(lease, VDP_END_DEVICE);
		return 0;
	}
	if (state == lease->state)
		return 0;
	lease->state = state;
	lease->tell = true;
	broker_save(lease->broker);
	client_wake(lease->client);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source, (void)usec;
	lease_end(data, VDP_END_EXPIRED);
	return 0;
}

static int set_timer(struct lease *lease)
{
	sd_event_source_disable_unref(lease->timer);
	lease->timer = NULL;
	if (!lease->expires)
		return 0;
	return sd_event_add_time(lease->broker->event, &lease->timer, CLOCK_BOOTTIME,
				 lease->expires, 1000, on_time, lease);
}

void lease_set_time(struct lease *lease, uint32_t seconds)
{
	lease->expires = seconds ? now() + seconds * USEC : 0;
	if (lease->source)
		set_timer(lease);
}

uint32_t lease_seconds_left(const struct lease *lease)
{
	uint64_t time = now();

	if (!lease->expires)
		return 0;
	/* 0 would mean: for ever. */
	return lease->expires > time ? (lease->expires - time + USEC - 1) / USEC : 1;
}

int lease_start(struct lease *lease)
{
	if (sd_event_add_io(lease->broker->event, &lease->source,
			    vdb_slice_event_fd(lease->slice), EPOLLIN, on_event, lease) < 0)
		return -1;
	return set_timer(lease) < 0 ? -1 : 0;
}

static const char *const ends[] = {
	[VDP_END_RELEASED] = "released by its client",
	[VDP_END_EXPIRED] = "its time is over",
	[VDP_END_REVOKED] = "revoked by an administrator",
	[VDP_END_DEVICE] = "the device is lost",
	[VDP_END_CLIENT] = "the client is gone",
	[VDP_END_BROKER] = "the broker was killed while it lent the slice",
};

/* Whatever it takes: closing the device revokes everything. */
static void take_back(struct lease *lease)
{
	struct device *device = lease->device;

	if (!device || !device->vdb || !device_revoke(device, lease->slice))
		return;
	log_line(LOG_CRIT, "lease %" PRIu64 " of %s cannot be revoked (%s): closing the device",
		 lease->id, lease->slice_name, strerror(errno));
	device_close(device);
}

void lease_end(struct lease *lease, enum vdp_end why)
{
	struct client *client = lease->client;

	take_back(lease);
	release_actions(lease);
	log_line(LOG_NOTICE, "lease %" PRIu64 " of %s[%u] ends: %s", lease->id,
		 lease->slice_name, lease->index, ends[why]);

	lease->end = why;
	lease->state = VDP_STATE_REVOKED;
	lease->tell = client && why != VDP_END_RELEASED && why != VDP_END_CLIENT;
	lease->source = sd_event_source_disable_unref(lease->source);
	lease->timer = sd_event_source_disable_unref(lease->timer);
	vdb_slice_free(lease->slice);
	lease->slice = NULL;
	broker_save(lease->broker);
	store_remove(store_name_of_lease(lease->id));

	if (lease->tell)
		client_wake(client);
	else
		lease_forget(lease);
}

static bool has_place_of(const struct lease *lease, const struct slice_config *slice)
{
	return lease->bar == slice->bar && lease->index < slice->count &&
	       lease->length == slice->length &&
	       lease->offset == slice->offset + lease->index * slice->length;
}

/* A client may have asked for less than it could have: read-only. */
static bool has_kind_of(const struct lease *lease, const struct slice_config *slice)
{
	return !(lease->flags & VDP_WC) == !(slice->flags & VDB_WC) &&
	       (lease->flags & VDP_READ_ONLY || !(slice->flags & VDB_READ_ONLY)) &&
	       (lease->flags & VDP_EXCLUSIVE || !slice->exclusive);
}

static void end_if_forbidden(struct lease *lease)
{
	struct device_config *device;
	const struct slice_config *slice =
		config_find_slice(lease->broker->config, lease->slice_name, &device);

	if (!slice || !lease->device || strcmp(device->bdf, lease->device->bdf) ||
	    !has_place_of(lease, slice) || !has_kind_of(lease, slice) ||
	    !policy_allows(&slice->rule, &lease->client->who))
		lease_end(lease, VDP_END_REVOKED);
	else if (slice->max_seconds &&
		 (!lease->expires || lease_seconds_left(lease) > slice->max_seconds))
		lease_set_time(lease, slice->max_seconds);
}

void leases_end_forbidden(struct broker *broker)
{
	struct lease *lease, *next;

	for (lease = broker->leases; lease; lease = next) {
		next = lease->next;
		if (!lease->end)
			end_if_forbidden(lease);
	}
}

bool leases_tell(struct client *client)
{
	struct lease *lease, *next;
	bool told = false;

	for (lease = client->broker->leases; lease; lease = next) {
		struct vdp_event event = {
			.header.type = VDP_EVENT,
			.lease = lease->id,
			.state = lease->state,
			.end = lease->end,
		};

		next = lease->next;
		if (lease->client != client || !lease->tell)
			continue;
		if (!client_send(client, &event, sizeof(event), NULL, 0))
			return false;
		told = true;
		lease->tell = false;
		if (lease->end)
			lease_forget(lease);
	}
	/* Told twice, after a crash, would do no harm. */
	if (told)
		broker_save(client->broker);
	return true;
}
