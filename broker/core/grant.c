/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "device_set.h"
#include "end.h"
#include "grant.h"
#include "lease_set.h"
#include "news.h"
#include "notify.h"

#define USEC	1000000ULL

static void refuse(struct core *core, struct client *client, const struct event *event,
		   enum answer answer)
{
	if (answer == ANSWER_NO_SLICE || answer == ANSWER_LIMIT || answer == ANSWER_MEMORY_LIMIT)
		EMIT(core, EFFECT_LOG, .log = LOG_DENIED, .client = client->r.id,
		     .answer = answer, .why = event->name);
	EMIT(core, EFFECT_REPLY, .client = client->r.id, .serial = event->serial,
	     .answer = answer);
}

static bool is_within_limits(struct core *core, const struct client *client)
{
	return client->nr_leases < core->catalogue->leases_per_client &&
	       account_may(&core->accounts, client->account, LEASES);
}

static bool is_within_memory(struct core *core, const struct client *client, uint64_t memory)
{
	return client->memory + memory <= core->catalogue->memory_per_client &&
	       account_may_more(&core->accounts, client->account, MEMORY_BYTES, memory);
}

static enum answer check(struct core *core, const struct client *client,
			 const struct event *event, const struct slice *slice,
			 const struct device *device)
{
	if (!slice || !policy_allows(&slice->rule, client->who))
		return ANSWER_NO_SLICE;
	if (event->flags & ~SLICE_READ_ONLY)
		return ANSWER_INVALID;
	if (event->index != ANY_INDEX && event->index >= slice->count)
		return ANSWER_INVALID;
	if (slice->max_seconds && event->seconds > slice->max_seconds)
		return ANSWER_INVALID;
	if (!device || !device_is_coming(device))
		return ANSWER_DEVICE;
	if (!is_within_limits(core, client))
		return ANSWER_LIMIT;
	if (slice->memory && !is_within_memory(core, client, slice->memory))
		return ANSWER_MEMORY_LIMIT;
	return ANSWER_DONE;
}

static struct lease_record record_of(struct core *core, const struct client *client,
				     const struct event *event, const struct slice *slice,
				     const struct device *device)
{
	struct lease_record record = {
		.id = core->next_id++,
		.client = client->r.id,
		.serial = event->serial,
		.phase = LEASE_WAITING,
		.offset = slice->offset,	/* of the array, until there is an index */
		.length = slice->length,
		.wait_until = event->wait ? core->now + event->wait : 0,
		.memory = slice->memory,
		.bar = slice->bar,
		.flags = slice->flags | event->flags,
		.wanted = event->index,
		.count = slice->count,
		.seconds = event->seconds ? event->seconds : slice->max_seconds,
		.max_seconds = slice->max_seconds,
		.actions = slice->actions,
	};

	strcpy(record.bdf, device->r.bdf);
	strcpy(record.slice, slice->name);
	return record;
}

void grant_request(struct core *core, struct client *client, const struct event *event)
{
	const struct catalogue_device *configured = NULL;
	const struct slice *slice;
	struct lease_record record;
	struct device *device;
	struct lease *lease;
	enum answer answer;

	if (!core->catalogue) {
		refuse(core, client, event, ANSWER_NO_CATALOGUE);
		return;
	}
	slice = catalogue_find_slice(core->catalogue, event->name, &configured);
	device = slice ? device_find(core, configured->bdf) : NULL;
	answer = check(core, client, event, slice, device);
	if (answer != ANSWER_DONE) {
		refuse(core, client, event, answer);
		return;
	}
	record = record_of(core, client, event, slice, device);
	lease = lease_new(core, &record, client, device);
	if (!lease) {
		refuse(core, client, event, ANSWER_NO_MEMORY);
		return;
	}
	lease_wait(lease);
	deadline_set(&core->deadlines, lease, record.wait_until);
	core->asked = lease;
	device->changed = true;
}

static bool is_free(const struct device *device, const struct lease *lease,
		    const struct place *place)
{
	if (ranges_overlap(&device->taken[1], place) || ranges_overlap(&device->claimed[1], place))
		return false;
	return !(lease->r.flags & SLICE_EXCLUSIVE) ||
	       (!ranges_overlap(&device->taken[0], place) &&
		!ranges_overlap(&device->claimed[0], place));
}

/* Its place with that index. */
static struct place place_at(const struct lease *lease, uint32_t index)
{
	return (struct place){
		.offset = lease->r.offset + index * lease->r.length,
		.length = lease->r.length,
		.bar = lease->r.bar,
	};
}

/* A free index, or ANY_INDEX. */
static uint32_t choose(const struct device *device, const struct lease *lease)
{
	uint32_t first = lease->r.wanted == ANY_INDEX ? 0 : lease->r.wanted;
	uint32_t end = lease->r.wanted == ANY_INDEX ? lease->r.count : first + 1;

	for (uint32_t i = first; i < end; i++) {
		struct place place = place_at(lease, i);

		if (is_free(device, lease, &place))
			return i;
	}
	return ANY_INDEX;
}

static void export(struct core *core, struct lease *lease, uint32_t index)
{
	struct device *device = lease->device;

	lease_stop_waiting(lease);
	lease->r.phase = LEASE_EXPORTING;
	lease->r.index = index;
	lease->r.offset += index * lease->r.length;
	lease_take_bytes(lease);
	deadline_set(&core->deadlines, lease, core->now + device->patience);
	lease_save(core, lease);
	EMIT(core, EFFECT_EXPORT, .device = device->number, .lease = lease->r.id,
	     .saved_lease = &lease->r);
}

/* The slice that it waits for.  If it waits for any index, this is the whole array. */
static struct place place_claimed(const struct lease *lease)
{
	bool any = lease->r.wanted == ANY_INDEX;
	struct place place = place_at(lease, any ? 0 : lease->r.wanted);

	if (any)
		place.length *= lease->r.count;
	return place;
}

/*
 * Whether an earlier request waits for the same.  If that one could not be granted, this
 * one cannot be either.  Many requests can wait for any index of a large array.  This way
 * the array is searched only once.
 */
static bool waits_behind(const struct device *device, const struct lease *lease)
{
	const struct ranges *claimed = &device->claimed[!!(lease->r.flags & SLICE_EXCLUSIVE)];
	struct place place = place_claimed(lease);

	for (size_t i = ranges_from(claimed, &place); i < claimed->nr; i++) {
		const struct taken *other = &claimed->taken[i];

		if (other->place.bar != place.bar || other->place.offset != place.offset)
			return false;
		if (other->place.length == place.length && other->lease->r.length == lease->r.length)
			return true;
	}
	return false;
}

/* No later request gets what it waits for. */
static void claim(struct device *device, struct lease *lease)
{
	struct place place = place_claimed(lease);

	if (!waits_behind(device, lease))
		ranges_add(&device->claimed[!!(lease->r.flags & SLICE_EXCLUSIVE)], &place, lease);
}

static void leave_waiting(struct core *core, struct lease *lease)
{
	if (lease == core->asked) {
		lease_save(core, lease);
		/* A request that does not wait for others waits for the device only. */
		if (lease->r.wait_until)
			EMIT(core, EFFECT_REPLY, .client = lease->r.client,
			     .serial = lease->r.serial, .answer = ANSWER_WAITING,
			     .lease = lease->r.id);
	}
	claim(lease->device, lease);
}

void grant_waiting(struct core *core, struct device *device)
{
	struct lease *lease, *next;

	device->changed = false;
	for (lease = device->waiting; lease; lease = next) {
		uint32_t index = ANY_INDEX;

		next = lease->next_waiting;
		if (device->phase == DEVICE_OPEN && !waits_behind(device, lease))
			index = choose(device, lease);
		if (index != ANY_INDEX) {
			export(core, lease, index);
		} else if (lease->r.wait_until || device->phase != DEVICE_OPEN) {
			leave_waiting(core, lease);
		} else if (lease == core->asked) {
			EMIT(core, EFFECT_REPLY, .client = lease->r.client,
			     .serial = lease->r.serial, .answer = ANSWER_BUSY);
			lease_forget(core, lease);
		} else {
			end_begin(core, lease, END_BUSY);
		}
	}
	for (int i = 0; i < 2; i++)
		ranges_clear(&device->claimed[i]);
	/* Requests that did not wait took no bytes, so their end frees none. */
	device->changed = false;
	core->asked = NULL;
}

static void not_exported(struct core *core, struct lease *lease)
{
	if (!lease->r.end)
		lease->r.end = END_EXPORT;
	if (!lease->r.memory) {
		end_complete(core, lease);
		return;
	}
	/* The device can have been prepared for it, and its memory can be mapped. */
	lease->r.phase = LEASE_ENDING;
	lease_save(core, lease);
	end_revoked(core, lease, true);
}

void grant_exported(struct core *core, struct lease *lease, const struct event *event)
{
	if (!event->ok) {
		not_exported(core, lease);
		return;
	}
	lease->r.buffer = event->buffer;
	if (lease->r.memory)
		lease->r.iova = event->iova;
	if (lease->r.end) {
		lease->r.phase = LEASE_ENDING;
		lease_save(core, lease);
		end_go_on(core, lease);
		return;
	}
	lease->r.phase = LEASE_GRANTED;
	lease->was_granted = true;
	lease->r.expires = lease->r.seconds ? core->now + lease->r.seconds * USEC : 0;
	deadline_set(&core->deadlines, lease, lease->r.expires);
	/* Before it is sent: a buffer that is not saved has not been sent to a client. */
	lease_save(core, lease);
	EMIT(core, EFFECT_LOG, .log = LOG_GRANTED, .lease = lease->r.id,
	     .saved_lease = &lease->r);
	news_of_lease(core, NEWS_GRANTED, lease, lease->r.seconds);
	notify(core, lease);
}
