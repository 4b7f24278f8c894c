/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger.h"
#include "records.h"
#include "state.h"

struct state {
	struct ledger *ledger;
};

/* The pair of the type, and the pair of the key. */
struct identity_pairs {
	uint8_t bytes[128];
	size_t size;
};

static void encode_identity(const struct record_type *type, const void *record,
			    struct identity_pairs *identity)
{
	struct writer to = { identity->bytes, sizeof(identity->bytes), false };

	write_encoded(&to, type->pair, strlen(type->pair));
	field_encode(type->fields, record, &(struct pairs){ 0 }, &to);
	identity->size = to.at - identity->bytes;
}

/* The pairs of a record after type and key. */
static bool open_record(struct reader body, struct pairs *pairs)
{
	if (!pairs_open(&body, pairs))
		return false;
	for (int i = 0; i < 4; i++)
		if (!read_over(&pairs->from))
			return false;
	pairs->nr -= 2;
	return true;
}

/* -1 if it does not fit. */
static int append(struct ledger *ledger, const struct record_type *type, const void *record,
		  const struct identity_pairs *identity)
{
	struct key key = ledger_key(identity->bytes, identity->size);
	struct slot *slot = ledger_find(ledger, &key);
	struct writer to = ledger_writer(ledger);
	struct pairs old = { 0 };
	uint8_t *start;
	size_t head, pairs;

	if (slot && slot->unknown && !open_record(ledger_body(ledger, slot), &old))
		old.nr = 0;
	start = write_map_head(&to);
	head = to.at - start;
	write_encoded(&to, identity->bytes, identity->size);
	pairs = fields_encode(type->fields + 1, record, &old, &to);
	/* Without any, it would remove the record. */
	if (!pairs) {
		field_encode(type->fields + 1, record, &old, &to);
		pairs = 1;
	}
	set_map_pairs(&to, start, 2 + pairs);
	if (to.full)
		return -1;
	return ledger_append(ledger, to.at, head, &key, slot, false);
}

static int append_removal(struct ledger *ledger, const struct identity_pairs *identity)
{
	struct key key = ledger_key(identity->bytes, identity->size);
	struct writer to = ledger_writer(ledger);

	write_map(&to, 2);
	write_encoded(&to, identity->bytes, identity->size);
	return to.full ? -1 : ledger_append(ledger, to.at, 1, &key, ledger_find(ledger, &key), true);
}

static int save(struct state *state, const struct record_type *type, const void *record)
{
	struct identity_pairs identity;

	encode_identity(type, record, &identity);
	if (!append(state->ledger, type, record, &identity))
		return 0;
	if (ledger_compact(state->ledger))
		return -1;
	if (!append(state->ledger, type, record, &identity))
		return 0;
	errno = ENOSPC;
	return -1;
}

static int forget(struct state *state, const struct record_type *type, const void *record)
{
	struct identity_pairs identity;

	encode_identity(type, record, &identity);
	if (!append_removal(state->ledger, &identity))
		return 0;
	if (ledger_compact(state->ledger))
		return -1;
	if (!append_removal(state->ledger, &identity))
		return 0;
	errno = ENOSPC;
	return -1;
}

int state_save(struct state *state, const struct effect *effect)
{
	struct device_record device = { 0 };

	switch (effect->type) {
	case EFFECT_SAVE_START:
		return save(state, &record_start,
			    &(struct start_record){ .start = effect->start });
	case EFFECT_SAVE_CLIENT:
		return save(state, &record_client, effect->saved_client);
	case EFFECT_SAVE_LEASE:
		return save(state, &record_lease, effect->saved_lease);
	case EFFECT_SAVE_DEVICE:
		return save(state, &record_device, effect->saved_device);
	case EFFECT_FORGET_CLIENT:
		return forget(state, &record_client,
			      &(struct client_record){ .id = effect->client });
	case EFFECT_FORGET_LEASE:
		return forget(state, &record_lease,
			      &(struct lease_record){ .id = effect->lease });
	case EFFECT_FORGET_DEVICE:
		strncpy(device.bdf, effect->bdf, sizeof(device.bdf) - 1);
		return forget(state, &record_device, &device);
	default:
		errno = EINVAL;
		return -1;
	}
}

int state_reserve(struct state *state, size_t more)
{
	return ledger_reserve(state->ledger, more * RECORD_MAX, more);
}

int state_fd(const struct state *state)
{
	return state->ledger->fd;
}

void state_free(struct state *state)
{
	if (!state)
		return;
	ledger_free(state->ledger);
	free(state);
}

void saved_free(struct saved *saved)
{
	free(saved->clients);
	free(saved->leases);
	free(saved->devices);
	*saved = (struct saved){ 0 };
}

struct state *state_new(void)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	state->ledger = ledger_new();
	if (!state->ledger || state_reserve(state, 1)) {
		int error = errno;

		state_free(state);
		errno = error;
		return NULL;
	}
	return state;
}

static int damaged(void)
{
	errno = EBADMSG;
	return -1;
}

union any_record {
	struct start_record start;
	struct client_record client;
	struct lease_record lease;
	struct device_record device;
};

static int make_room(struct saved *saved, size_t nr)
{
	saved->clients = calloc(nr, sizeof(*saved->clients));
	saved->leases = calloc(nr, sizeof(*saved->leases));
	saved->devices = calloc(nr, sizeof(*saved->devices));
	return saved->clients && saved->leases && saved->devices ? 0 : -1;
}

static void take(struct saved *saved, const struct record_type *type,
		 const union any_record *record)
{
	if (type == &record_client)
		saved->clients[saved->nr_clients++] = record->client;
	else if (type == &record_lease)
		saved->leases[saved->nr_leases++] = record->lease;
	else if (type == &record_device)
		saved->devices[saved->nr_devices++] = record->device;
	else
		saved->start = record->start.start;
}

/* The type with this name.  NULL: it is from another version. */
static const struct record_type *find_type(const struct item *name)
{
	static const struct record_type *const types[] = {
		&record_start, &record_client, &record_lease,
#ifndef STATE_OLDER
		&record_device,
#endif
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (item_is_text(name, types[i]->name))
			return types[i];
	return NULL;
}

/* A key that is encoded differently, or given twice, would count as another record. */
static bool is_own_key(const struct ledger *ledger, const struct slot *slot,
		       const struct record_type *type, const union any_record *record)
{
	struct identity_pairs identity;

	encode_identity(type, record, &identity);
	return identity.size == slot->key_size &&
	       !memcmp(identity.bytes, ledger->map + slot->record + slot->key, identity.size);
}

static int load_record(const struct ledger *ledger, struct slot *slot, struct saved *saved)
{
	struct reader body = ledger_body(ledger, slot);
	const struct record_type *type;
	union any_record record;
	struct pairs pairs;
	struct item name;

	memset(&record, 0, sizeof(record));
	if (!pairs_open(&body, &pairs) || !read_over(&pairs.from) ||
	    !read_typed(&pairs.from, ITEM_TEXT, &name))
		return damaged();
	pairs.nr--;
	type = find_type(&name);
	if (!type)
		return 0;
	if (!fields_decode(type->fields, &record, &pairs, &slot->unknown) ||
	    !is_own_key(ledger, slot, type, &record) || !type->is_valid(&record))
		return damaged();
	take(saved, type, &record);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint64_t left, right;

	/* Records of clients and leases begin with the id. */
	memcpy(&left, a, sizeof(left));
	memcpy(&right, b, sizeof(right));
	return left < right ? -1 : left > right;
}

static int by_bdf(const void *a, const void *b)
{
	const struct device_record *left = a, *right = b;

	return strcmp(left->bdf, right->bdf);
}

static int load(struct state *state, int fd, struct saved *saved)
{
	struct slot *slot = NULL;

	state->ledger = ledger_load(fd);
	if (!state->ledger || make_room(saved, state->ledger->index.nr + 1))
		return -1;
	while ((slot = index_next(&state->ledger->index, slot)))
		if (load_record(state->ledger, slot, saved))
			return -1;
	qsort(saved->clients, saved->nr_clients, sizeof(*saved->clients), by_id);
	qsort(saved->leases, saved->nr_leases, sizeof(*saved->leases), by_id);
	qsort(saved->devices, saved->nr_devices, sizeof(*saved->devices), by_bdf);
	return 0;
}

struct state *state_load(int fd, struct saved *saved)
{
	struct state *state = calloc(1, sizeof(*state));
	int error;

	*saved = (struct saved){ 0 };
	if (!state)
		return NULL;
	if (!load(state, fd, saved))
		return state;
	error = errno;
	/* The caller keeps the fd. */
	if (state->ledger)
		state->ledger->fd = -1;
	state_free(state);
	saved_free(saved);
	errno = error;
	return NULL;
}

struct state *state_load_newest(const int *fds, size_t nr, struct saved *saved)
{
	struct state *newest = NULL;
	int error = ENOENT;

	*saved = (struct saved){ 0 };
	for (size_t i = 0; i < nr; i++) {
		struct saved other;
		struct state *state = state_load(fds[i], &other);

		if (!state) {
			error = errno;
			close(fds[i]);
		} else if (newest && saved->start >= other.start) {
			state_free(state);
			saved_free(&other);
		} else {
			state_free(newest);
			saved_free(saved);
			newest = state;
			*saved = other;
		}
	}
	errno = error;
	return newest;
}
