// SPDX-License-Identifier: MIT
/* Chance drives the world; now and then it is left to come to rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define STEPS_BETWEEN_CALMS	2000
#define STEPS_TO_CALM		200000

void violation(struct world *world, const char *what, uint64_t a, uint64_t b)
{
	world->violation = what;
	snprintf(world->detail, sizeof(world->detail), "step %llu: %s (%llx, %llx)",
		 (unsigned long long)world->step, what, (unsigned long long)a,
		 (unsigned long long)b);
	longjmp(world->stop, 1);
}

uint64_t random_below(struct world *world, uint64_t n)
{
	uint64_t x;

	/* splitmix64 */
	x = world->random += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	x ^= x >> 31;
	return x % n;
}

static void notify(struct world *world, struct event event)
{
	process_handle(world, &event);
}

static void disturb(struct world *world)
{
	struct sim_device *device = &world->devices[random_below(world, DEVICES)];

	switch (random_below(world, 12)) {
	case 0:
		device->hung = true;
		device->troubles++;
		break;
	case 1: case 2: case 3:
		device->hung = false;
		break;
	case 4:
		device->failing = chance(world, 4);
		break;
	case 5:
		if (!chance(world, 4))
			break;
		device->present = false;
		device->troubles++;
		if (device->number != UINT32_MAX)
			notify(world, (struct event){ .type = EVENT_UNPLUG,
						      .device = device->number });
		break;
	case 6: case 7:
		device->present = true;
		if (device->number != UINT32_MAX)
			notify(world, (struct event){ .type = EVENT_PRESENT,
						      .device = device->number });
		break;
	case 8:
		if (!device->open || device->number == UINT32_MAX)
			break;
		device->suspended = chance(world, 2);
		notify(world, (struct event){ .type = EVENT_SUSPENDED, .device = device->number,
					      .suspended = device->suspended });
		break;
	case 9:
		world->catalogue = random_below(world, CATALOGUES);
		world->reloads++;
		world->broken = false;
		notify(world, (struct event){ .type = EVENT_RELOAD,
			.catalogue = &world->catalogues[world->catalogue] });
		break;
	case 10:
		if (chance(world, 3))
			process_crash(world);
		break;
	}
}

static void connect_client(struct world *world, struct sim_client *client)
{
	struct event event = { .type = EVENT_CONNECT };

	client_connect(world, client);
	client->known = true;
	event.client = client->id;
	event.user = client->user;
	event.who = &client->who;
	notify(world, event);
}

/* A connection that is not served: nothing is left of it when it has been read. */
static bool drain(struct world *world, struct sim_client *client)
{
	struct event gone = { .type = EVENT_GONE, .client = client->id };

	if (!client->dropped || client->nr_inbox)
		return false;
	client_lost(world, client);
	if (!world->crashed)
		process_handle(world, &gone);
	return true;
}

static void misbehave(struct world *world, struct sim_client *client)
{
	client->dropped = true;
	client->kept = false;
	notify(world, (struct event){ .type = EVENT_DROPPED, .client = client->id });
}

static void step_of_client(struct world *world, struct sim_client *client)
{
	if (!client->id) {
		if (!world->crashed && chance(world, 20))
			connect_client(world, client);
		return;
	}
	switch (random_below(world, 5)) {
	case 0: case 1:
		client_release_unwanted(world, client);
		client_act(world, client);
		break;
	case 2:
		if (client->reads || chance(world, 30))
			client_read(world, client);
		break;
	case 3:
		if (chance(world, 60))
			client_close(world, client);
		else if (chance(world, 300) && !world->crashed && client->known)
			misbehave(world, client);
		else
			drain(world, client);
		break;
	case 4:
		if (!world->crashed && !process_flush(world, client) && !world->crashed)
			process_serve(world, client);
		break;
	}
}

static void step(struct world *world)
{
	struct sim_device *device = &world->devices[random_below(world, DEVICES)];

	world->now += random_below(world, 500);
	if (chance(world, 60))
		world->now += random_below(world, 1500000);
	if (world->crashed && chance(world, 4)) {
		process_start(world);
		return;
	}
	switch (random_below(world, 8)) {
	case 0: case 1:
		if (!world->crashed && !process_result(world, device))
			kernel_work(world, device);
		break;
	case 2:
		if (!world->crashed)
			process_ring(world);
		break;
	case 3:
		if (!world->crashed && chance(world, 12))
			disturb(world);
		break;
	default:
		step_of_client(world, &world->clients[random_below(world, CLIENTS_MAX)]);
	}
}

/* Does anything that can happen without a new request; false if there is nothing. */
static bool go_on(struct world *world)
{
	bool done = process_ring(world);

	for (int i = 0; i < DEVICES; i++) {
		done |= kernel_work(world, &world->devices[i]);
		done |= process_result(world, &world->devices[i]);
	}
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct sim_client *client = &world->clients[i];

		if (!client->id)
			continue;
		if (client->reads || client->dropped)
			done |= client_read(world, client);
		client_release_unwanted(world, client);
		done |= process_serve(world, client);
		if (client->id)
			done |= process_flush(world, client);
		done |= client->id && drain(world, client);
	}
	return done;
}

static bool is_any_device_absent(const struct world *world)
{
	for (int i = 0; i < DEVICES; i++)
		if (!world->devices[i].open)
			return true;
	return false;
}

static void calm(struct world *world)
{
	int steps = 0, waits = 0;

	world->calm = true;
	for (int i = 0; i < DEVICES; i++) {
		world->devices[i].hung = world->devices[i].failing = false;
		world->devices[i].present = true;
	}
	if (world->crashed)
		process_start(world);
	if (world->broken) {
		world->broken = false;
		notify(world, (struct event){ .type = EVENT_RELOAD,
			.catalogue = &world->catalogues[world->catalogue] });
	}
	for (;;) {
		while (go_on(world))
			if (++steps == STEPS_TO_CALM)
				violation(world, "it does not come to rest", 0, 0);
		/* Devices are opened again by and by, which the timer is set for. */
		if (!is_any_device_absent(world) || !world->timer || waits++ == 20)
			break;
		if (world->now < world->timer)
			world->now = world->timer;
	}
	check_calm(world);
	kernel_forget_revoked(world);
	world->calm = false;
}

/* In the end all clients disconnect, and nothing is left. */
static void leave(struct world *world)
{
	calm(world);
	world->calm = true;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (world->clients[i].id)
			client_close(world, &world->clients[i]);
	calm(world);
	if (world->nr_leases || world->nr_saved_clients)
		violation(world, "the state has something of nobody", world->nr_leases,
			  world->nr_saved_clients);
	if (core_lease(world->core, 0) || core_client(world->core, 0))
		violation(world, "the core has something of nobody", 0, 0);
}

static void run(struct world *world, uint64_t steps)
{
	process_start(world);
	for (world->step = 1; world->step <= steps; world->step++) {
		step(world);
		if (!(world->step % STEPS_BETWEEN_CALMS))
			calm(world);
	}
	leave(world);
}

const char *simulate(struct world *world, uint64_t seed, uint64_t steps, int swap_first,
		     int swap_second)
{
	memset(world, 0, sizeof(*world));
	world->random = seed;
	world->now = 1000000;
	world->swap_first = swap_first;
	world->swap_second = swap_second;
	world->crashed = true;
	for (int i = 0; i < DEVICES; i++) {
		snprintf(world->devices[i].bdf, 16, "0000:0%d:00.0", i);
		world->devices[i].present = true;
		world->devices[i].number = UINT32_MAX;
	}
	catalogues_make(world);
	if (!setjmp(world->stop))
		run(world, steps);
	if (world->core)
		core_free(world->core);
	world->core = NULL;
	return world->violation ? world->detail : NULL;
}
