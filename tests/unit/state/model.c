// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model.h"
#include "suite.h"

static uint64_t state_of_chance = 1;

void chance_seed(uint64_t seed)
{
	state_of_chance = seed | 1;
}

/* xorshift64* */
uint64_t chance_number(void)
{
	state_of_chance ^= state_of_chance >> 12;
	state_of_chance ^= state_of_chance << 25;
	state_of_chance ^= state_of_chance >> 27;
	return state_of_chance * 0x2545f4914f6cdd1d;
}

uint32_t chance_below(uint32_t limit)
{
	return (chance_number() >> 32) % limit;
}

void chance_start(void)
{
	const char *fixed = getenv("STATE_SEED");
	uint64_t seed = fixed ? strtoull(fixed, NULL, 0) : (uint64_t)time(NULL) << 16 ^ getpid();

	fprintf(stderr, "STATE_SEED=%#llx\n", (unsigned long long)seed);
	chance_seed(seed);
}

/* Small and great numbers with the same probability. */
static uint64_t any_number(void)
{
	return chance_number() >> chance_below(64);
}

static void any_name(char *name, size_t size, size_t least)
{
	size_t length = least + chance_below(size - least);

	memset(name, 0, size);
	/* Any bytes: names of clients need not be UTF-8. */
	for (size_t i = 0; i < length; i++)
		name[i] = 1 + chance_below(255);
}

static void any_actions(struct actions *actions, uint64_t length)
{
	static const uint32_t widths[] = { 8, 16, 32, 64 };

	actions->reset = chance_below(3);
	actions->nr = chance_below(4) ? chance_below(3) : chance_below(MAX_REGISTERS + 1);
	for (uint32_t i = 0; i < actions->nr; i++) {
		struct register_write *write = &actions->writes[i];

		write->width = widths[chance_below(4)];
		write->offset = chance_number() % (length - write->width / 8 + 1);
		write->value = any_number();
	}
}

struct lease_record random_lease(uint64_t id)
{
	struct lease_record lease;

	memset(&lease, 0, sizeof(lease));
	lease.id = id;
	lease.client = any_number();
	lease.serial = any_number();
	lease.length = 8 + any_number() % (1u << 30);
	lease.max_seconds = any_number();
	lease.bar = chance_below(6);
	lease.flags = chance_below(8);
	lease.count = 1 + any_number() % 0xffff;
	lease.wanted = chance_below(2) ? ANY_INDEX : chance_below(lease.count);
	any_name(lease.slice, sizeof(lease.slice), 1);
	any_name(lease.bdf, sizeof(lease.bdf), 1);
	any_actions(&lease.actions, lease.length);
	change_lease(&lease);
	return lease;
}

void change_lease(struct lease_record *lease)
{
	lease->phase = 1 + chance_below(5);
	lease->end = END_NONE;
	if (lease->phase >= LEASE_ENDING)
		lease->end = 1 + chance_below(END_TIMEOUT);
	else if (lease->phase == LEASE_EXPORTING)
		lease->end = chance_below(END_TIMEOUT + 1);
	lease->asker = any_number();
	lease->asker_serial = any_number();
	lease->buffer = any_number();
	lease->expires = any_number();
	lease->wait_until = any_number();
	lease->seconds = any_number();
	lease->index = lease->phase == LEASE_WAITING ? 0 : chance_below(lease->count);
	lease->offset = (uint64_t)lease->index * lease->length + (any_number() >> 8);
}

struct client_record random_client(uint64_t id)
{
	struct client_record client;

	memset(&client, 0, sizeof(client));
	client.id = id;
	client.watch = any_number();
	any_name(client.name, sizeof(client.name), 0);
	return client;
}

struct device_record random_device(uint32_t number)
{
	struct device_record device;

	memset(&device, 0, sizeof(device));
	snprintf(device.bdf, sizeof(device.bdf), "%04x:00:00.0", number);
	device.prepared = chance_below(2);
	return device;
}

static void save(struct state *state, const struct effect *effect)
{
	ck_assert_int_eq(state_save(state, effect), 0);
}

void save_start(struct state *state, uint64_t start)
{
	save(state, &(struct effect){ EFFECT_SAVE_START, .start = start });
}

void save_client(struct state *state, const struct client_record *client)
{
	save(state, &(struct effect){ EFFECT_SAVE_CLIENT, .saved_client = client });
}

void save_lease(struct state *state, const struct lease_record *lease)
{
	save(state, &(struct effect){ EFFECT_SAVE_LEASE, .saved_lease = lease });
}

void save_device(struct state *state, const struct device_record *device)
{
	save(state, &(struct effect){ EFFECT_SAVE_DEVICE, .saved_device = device });
}

void forget_client(struct state *state, uint64_t id)
{
	save(state, &(struct effect){ EFFECT_FORGET_CLIENT, .client = id });
}

void forget_lease(struct state *state, uint64_t id)
{
	save(state, &(struct effect){ EFFECT_FORGET_LEASE, .lease = id });
}

void forget_device(struct state *state, const char *bdf)
{
	save(state, &(struct effect){ EFFECT_FORGET_DEVICE, .bdf = bdf });
}

struct state *load_again(const struct state *state, struct saved *saved)
{
	int fd = dup(state_fd(state));
	struct state *next;

	ck_assert_int_ge(fd, 0);
	next = state_load(fd, saved);
	if (!next) {
		int error = errno;

		close(fd);
		errno = error;
	}
	return next;
}

/* The saved ones are sorted; those of the model are not. */
static bool has_all(const void *all, size_t nr, const void *sorted, size_t nr_sorted, size_t size)
{
	if (nr != nr_sorted)
		return false;
	for (size_t i = 0; i < nr; i++) {
		const char *one = (const char *)all + i * size;
		size_t j = 0;

		while (j < nr && memcmp(one, (const char *)sorted + j * size, size))
			j++;
		if (j == nr)
			return false;
	}
	return true;
}

static bool is_sorted(const struct saved *saved)
{
	for (size_t i = 1; i < saved->nr_clients; i++)
		if (saved->clients[i - 1].id >= saved->clients[i].id)
			return false;
	for (size_t i = 1; i < saved->nr_leases; i++)
		if (saved->leases[i - 1].id >= saved->leases[i].id)
			return false;
	for (size_t i = 1; i < saved->nr_devices; i++)
		if (strcmp(saved->devices[i - 1].bdf, saved->devices[i].bdf) >= 0)
			return false;
	return true;
}

/* It is large, and most of it is seldom used. */
void model_copy(struct model *to, const struct model *from)
{
	to->start = from->start;
	to->nr_clients = from->nr_clients;
	to->nr_leases = from->nr_leases;
	to->nr_devices = from->nr_devices;
	memcpy(to->clients, from->clients, from->nr_clients * sizeof(*to->clients));
	memcpy(to->leases, from->leases, from->nr_leases * sizeof(*to->leases));
	memcpy(to->devices, from->devices, from->nr_devices * sizeof(*to->devices));
}

bool model_equals(const struct model *model, const struct saved *saved)
{
	return model->start == saved->start && is_sorted(saved) &&
	       has_all(model->clients, model->nr_clients, saved->clients, saved->nr_clients,
		       sizeof(*saved->clients)) &&
	       has_all(model->leases, model->nr_leases, saved->leases, saved->nr_leases,
		       sizeof(*saved->leases)) &&
	       has_all(model->devices, model->nr_devices, saved->devices, saved->nr_devices,
		       sizeof(*saved->devices));
}

void check_state(const struct state *state, const struct model *model)
{
	struct saved saved;
	struct state *next = load_again(state, &saved);

	ck_assert_ptr_nonnull(next);
	ck_assert(model_equals(model, &saved));
	saved_free(&saved);
	state_free(next);
}

static void step_lease(struct state *state, struct model *model, size_t max)
{
	size_t i = model->nr_leases ? chance_below(model->nr_leases) : 0;
	uint32_t what = chance_below(4);

	if ((!what && model->nr_leases < max) || !model->nr_leases) {
		/* Near each other, as the core gives them out. */
		model->leases[model->nr_leases] =
			random_lease((uint64_t)model->start << 32 | chance_number() >> 40);
		/* The same by chance: then it replaces that. */
		for (i = 0; model->leases[i].id != model->leases[model->nr_leases].id; )
			i++;
		model->leases[i] = model->leases[model->nr_leases];
		model->nr_leases += i == model->nr_leases;
		save_lease(state, &model->leases[i]);
	} else if (what <= 1) {
		forget_lease(state, model->leases[i].id);
		model->leases[i] = model->leases[--model->nr_leases];
	} else {
		change_lease(&model->leases[i]);
		save_lease(state, &model->leases[i]);
	}
}

static void step_client(struct state *state, struct model *model)
{
	size_t i = chance_below(8);

	if (i < model->nr_clients) {
		forget_client(state, model->clients[i].id);
		model->clients[i] = model->clients[--model->nr_clients];
	} else {
		i = model->nr_clients++;
		model->clients[i] = random_client(chance_number() | 1);
		save_client(state, &model->clients[i]);
	}
}

static void step_device(struct state *state, struct model *model)
{
	struct device_record device = random_device(chance_below(8));
	size_t i = 0;

	while (i < model->nr_devices && strcmp(model->devices[i].bdf, device.bdf))
		i++;
	if (i < model->nr_devices && chance_below(2)) {
		forget_device(state, device.bdf);
		model->devices[i] = model->devices[--model->nr_devices];
		return;
	}
	model->devices[i] = device;
	model->nr_devices += i == model->nr_devices;
	save_device(state, &device);
}

void random_step(struct state *state, struct model *model, size_t max)
{
	ck_assert_int_eq(state_reserve(state, 1), 0);
	switch (chance_below(20)) {
	case 0:
		step_device(state, model);
		break;
	case 1:
		step_client(state, model);
		break;
	case 2:
		save_start(state, ++model->start);
		break;
	default:
		step_lease(state, model, max);
	}
}
