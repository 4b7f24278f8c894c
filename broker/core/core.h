/* SPDX-License-Identifier: MIT */
/*
 * The core: a state machine of leases.  Events go in, effects come out.  It does no
 * I/O and reads no clock.  The same events have the same effects.
 *
 * The core hands the effects of an event to a function, in the order in which they
 * must be carried out.  That function must not call the core.  Take a request out of
 * its socket after the effects of its event.  If the process dies between two
 * effects, core_restore() in the next process continues from there.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "effect.h"
#include "event.h"

struct core;

typedef void effect_function(void *shell, const struct effect *effect);

/* @catalogue: NULL if the configuration has mistakes.  Return: NULL: no memory. */
struct core *core_new(const struct catalogue *catalogue, effect_function *effect, void *shell);
void core_free(struct core *core);

/* A connection of a former process. */
struct restored_client {
	struct client_record record;
	uint64_t user;
	const struct identity *who;
};

struct restored_device {
	struct device_record record;
	bool stored;		/* the fd store has it open */
};

/* What a former process has left. */
struct restored {
	uint64_t start;		/* of EFFECT_SAVE_START; 0: no state was left */
	const struct restored_client *clients;	/* those that are still connected */
	size_t nr_clients;
	const struct lease_record *leases;
	size_t nr_leases;
	const struct restored_device *devices;
	size_t nr_devices;
};

/* Call it once, before the first event, also if nothing is restored.  -1: no memory. */
int core_restore(struct core *core, uint64_t now, const struct restored *restored);

/* @now: microseconds of CLOCK_BOOTTIME; never less than before. */
void core_handle(struct core *core, uint64_t now, const struct event *event);

/* For lists, status and metrics. */
struct accounts;
struct device;
struct lease;
struct client;
const struct lease *core_lease(const struct core *core, size_t i);	/* by age; NULL: no more */
const struct client *core_client(const struct core *core, size_t i);
const struct lease *core_find_lease(const struct core *core, uint64_t id);	/* or NULL */
const struct client *core_find_client(const struct core *core, uint64_t id);
const struct device *core_find_device(const struct core *core, uint32_t number);
const struct device *core_device(const struct core *core, size_t i);
/* The catalogue in use. After EVENT_RELOAD it is the former one if there was no memory. */
const struct catalogue *core_catalogue(const struct core *core);
/* Whether a client has no leases, does not wait for the end of one and does not watch. */
bool core_has_nothing(const struct core *core, uint64_t client);
const struct accounts *core_accounts(const struct core *core);
bool core_is_admin(const struct core *core, uint64_t client);

#endif
