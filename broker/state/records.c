/* SPDX-License-Identifier: MIT */
#include "records.h"

#define BARS	6

static const struct field start_fields[] = {
	UINT(start_record, number),
	UINT(start_record, start),
	{ .type = FIELD_END },
};

static const struct field client_fields[] = {
	UINT(client_record, id),
#ifndef STATE_OLDER
	UINT(client_record, watch),
#endif
	NAME(client_record, name),
	{ .type = FIELD_END },
};

/* STATE_OLDER is for a test: a version that lacks a field on each level. */
static const struct field write_fields[] = {
	UINT(register_write, offset),
#ifndef STATE_OLDER
	UINT(register_write, value),
#endif
	UINT(register_write, width),
	{ .type = FIELD_END },
};

static const struct field actions_fields[] = {
#ifndef STATE_OLDER
	UINT(actions, reset),
#endif
	MAPS(actions, writes, nr, write_fields),
	{ .type = FIELD_END },
};

static const struct field lease_fields[] = {
	UINT(lease_record, id),
	UINT(lease_record, client),
	UINT(lease_record, serial),
	UINT(lease_record, asker),
	UINT(lease_record, asker_serial),
	UINT(lease_record, buffer),
	UINT(lease_record, offset),
	UINT(lease_record, length),
	UINT(lease_record, expires),
	UINT(lease_record, wait_until),
	UINT(lease_record, phase),
	UINT(lease_record, end),
	UINT(lease_record, bar),
	UINT(lease_record, flags),
	UINT(lease_record, wanted),
	UINT(lease_record, index),
	UINT(lease_record, count),
	UINT(lease_record, seconds),
#ifndef STATE_OLDER
	UINT(lease_record, max_seconds),
	UINT(lease_record, memory),
	UINT(lease_record, iova),
#endif
	NAME(lease_record, bdf),
	NAME(lease_record, slice),
	MAP(lease_record, actions, actions_fields),
	{ .type = FIELD_END },
};

static const struct field device_fields[] = {
	NAME(device_record, bdf),
	BOOL(device_record, prepared),
	{ .type = FIELD_END },
};

static bool is_valid_start(const void *record)
{
	const struct start_record *start = record;

	return !start->number && start->start;
}

static bool is_valid_client(const void *record)
{
	const struct client_record *client = record;

	return client->id;
}

static bool is_valid_device(const void *record)
{
	const struct device_record *device = record;

	return device->bdf[0];
}

/* Registers must be in the lease. */
static bool are_valid(const struct actions *actions, uint64_t length)
{
	for (uint32_t i = 0; i < actions->nr; i++) {
		const struct register_write *write = &actions->writes[i];
		uint32_t bytes = write->width / 8;

		if (write->width != 8 && write->width != 16 && write->width != 32 &&
		    write->width != 64)
			return false;
		if (bytes > length || write->offset > length - bytes)
			return false;
	}
	return actions->reset <= RESET_EACH_TIME;
}

/* The whole array must be in a BAR, and the lease in the array. */
static bool is_valid_place(const struct lease_record *lease)
{
	uint64_t all, end;

	if (lease->bar >= BARS || !lease->count || !lease->length)
		return false;
	if (lease->wanted != ANY_INDEX && lease->wanted >= lease->count)
		return false;
	if (lease->index >= lease->count)
		return false;
	if (__builtin_mul_overflow(lease->length, lease->count, &all) ||
	    __builtin_add_overflow(lease->offset, all, &end))
		return false;
	/* While it waits, the offset is that of the array. */
	return lease->phase == LEASE_WAITING || lease->offset / lease->length >= lease->index;
}

static bool is_valid_lease(const void *record)
{
	const struct lease_record *lease = record;

	if (!lease->id || !lease->bdf[0] || !lease->slice[0])
		return false;
	if (lease->phase < LEASE_WAITING || lease->phase > LEASE_ENDED || lease->end > END_TIMEOUT)
		return false;
	/* An end has a reason.  While the worker exports, it may be known already. */
	if (lease->phase != LEASE_EXPORTING && (lease->phase >= LEASE_ENDING) != !!lease->end)
		return false;
	if (lease->flags & ~(SLICE_READ_ONLY | SLICE_WC | SLICE_EXCLUSIVE | SLICE_INTERRUPT))
		return false;
	if (lease->flags & SLICE_INTERRUPT && !lease->memory)
		return false;
	/* Only a lease with memory has an address of it, which is after address 0. */
	if (lease->iova && (!lease->memory || lease->iova + (lease->memory - 1) < lease->iova))
		return false;
	return is_valid_place(lease) && are_valid(&lease->actions, lease->length);
}

const struct record_type record_start = {
	"start", "\x61t\x65" "start", start_fields, sizeof(struct start_record), is_valid_start
};
const struct record_type record_client = {
	"client", "\x61t\x66" "client", client_fields, sizeof(struct client_record), is_valid_client
};
const struct record_type record_lease = {
	"lease", "\x61t\x65" "lease", lease_fields, sizeof(struct lease_record), is_valid_lease
};
const struct record_type record_device = {
	"device", "\x61t\x66" "device", device_fields, sizeof(struct device_record), is_valid_device
};
