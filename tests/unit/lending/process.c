// SPDX-License-Identifier: MIT
/* The broker's process: the core, and what carries its effects out until it dies. */
#include <string.h>

#include "device_set.h"
#include "world.h"

static void collect(void *data, const struct effect *effect)
{
	struct world *world = data;
	struct job *job = &world->effects[world->nr_effects++];

	if (world->nr_effects == 1024)
		violation(world, "effects without end", 0, 0);
	job->effect = *effect;
	if (effect->saved_lease)
		job->record = *effect->saved_lease;
	if (effect->news)
		job->news = *effect->news;
	if (effect->saved_client)
		job->watch = effect->saved_client->watch;
	if (effect->bdf)
		strcpy(job->bdf, effect->bdf);
}

/* The core's data can be freed or changed before the effect is carried out. */
static void collect_all(void *data, const struct effect *effect)
{
	struct world *world = data;
	struct job *job;

	collect(data, effect);
	job = &world->effects[world->nr_effects - 1];
	if (effect->type == EFFECT_SAVE_DEVICE) {
		strcpy(job->bdf, effect->saved_device->bdf);
		job->effect.seconds = effect->saved_device->prepared;
	}
}

static void swap(struct world *world)
{
	for (int j = 1; j < world->nr_effects; j++) {
		struct job later = world->effects[j];

		if ((int)later.effect.type != world->swap_second)
			continue;
		for (int i = 0; i < j; i++) {
			if ((int)world->effects[i].effect.type != world->swap_first)
				continue;
			memmove(world->effects + i + 1, world->effects + i,
				(j - i) * sizeof(later));
			world->effects[i] = later;
			world->swapped++;
			break;
		}
	}
}

static void save_lease(struct world *world, const struct lease_record *record)
{
	int i = 0;

	while (i < world->nr_leases && world->leases[i].id != record->id)
		i++;
	if (i == world->nr_leases && world->nr_leases++ == RECORDS_MAX)
		violation(world, "records of leases without end", 0, 0);
	world->leases[i] = *record;
}

static void forget_lease(struct world *world, uint64_t id)
{
	for (int i = 0; i < world->nr_leases; i++)
		if (world->leases[i].id == id) {
			world->leases[i] = world->leases[--world->nr_leases];
			return;
		}
}

static void save_client(struct world *world, uint64_t id, uint64_t watch)
{
	for (int i = 0; i < world->nr_saved_clients; i++)
		if (world->saved_clients[i].id == id) {
			world->saved_clients[i].watch = watch;
			return;
		}
	if (world->nr_saved_clients == CLIENTS_MAX * 2)
		violation(world, "records of clients without end", 0, 0);
	world->saved_clients[world->nr_saved_clients++] = (struct client_record){
		.id = id, .watch = watch };
}

static void forget_client(struct world *world, uint64_t id)
{
	for (int i = 0; i < world->nr_saved_clients; i++)
		if (world->saved_clients[i].id == id) {
			world->saved_clients[i] = world->saved_clients[--world->nr_saved_clients];
			return;
		}
}

static void save_device(struct world *world, const char *bdf, bool prepared)
{
	int i = 0;

	while (i < world->nr_saved_devices && strcmp(world->saved_devices[i].bdf, bdf))
		i++;
	if (i == world->nr_saved_devices)
		world->nr_saved_devices++;
	strcpy(world->saved_devices[i].bdf, bdf);
	world->saved_devices[i].prepared = prepared;
}

static void forget_device(struct world *world, const char *bdf)
{
	for (int i = 0; i < world->nr_saved_devices; i++)
		if (!strcmp(world->saved_devices[i].bdf, bdf)) {
			world->saved_devices[i] = world->saved_devices[--world->nr_saved_devices];
			return;
		}
}

static uint64_t places_kept(const struct world *world, uint64_t user, enum resource resource)
{
	const struct catalogue *catalogue = &world->catalogues[world->catalogue];

	for (size_t i = 0; i < catalogue->nr_kept && !world->broken; i++)
		if (catalogue->kept[i].user == user)
			return catalogue->kept[i].places[resource];
	return 0;
}

/* No other user takes the places that are kept for one. */
static void check_lease_limit(struct world *world, const struct sim_client *client)
{
	uint32_t of_user = 0, of_client = 0;

	for (int i = 0; i < world->nr_leases; i++) {
		const struct sim_client *other = client_by_id(world, world->leases[i].client);

		of_client += other == client;
		/* A client that has disconnected can still have leases that are ending. */
		of_user += !other || other->user == client->user;
	}
	if (of_client < 4 && of_user < places_kept(world, client->user, LEASES))
		violation(world, "a place for a lease that was kept is not there", client->user, 0);
}

static void check_connection_limit(struct world *world, const struct sim_client *client)
{
	uint32_t of_user = 0;

	for (int i = 0; i < CLIENTS_MAX; i++)
		of_user += world->clients[i].id && world->clients[i].known &&
			    &world->clients[i] != client &&
			    world->clients[i].user == client->user;
	if (of_user < places_kept(world, client->user, CLIENTS))
		violation(world, "a place for a connection that was kept is not there",
			  client->user, 0);
}

static void reply(struct world *world, const struct job *job)
{
	struct sim_client *client = client_by_id(world, job->effect.client);

	if (!client)
		return;
	if (client->nr_inbox == 8)
		violation(world, "answers are queued without end", client->id, 0);
	if (job->effect.answer == ANSWER_LIMIT)
		check_lease_limit(world, client);
	client->inbox[client->nr_inbox++] = (struct sim_message){
		.kind = MSG_REPLY, .effect = job->effect, .time = world->now
	};
}

static void put_into_inbox(struct world *world, struct sim_client *client)
{
	struct sim_message *message = &client->pending;
	const struct memory *memory;
	struct buffer *buffer = buffer_by_id(world, message->record.buffer);

	client->sent = true;
	client->sent_ok = true;
	if (message->effect.message == MESSAGE_GRANT && !world->calm && chance(world, 300)) {
		world->unsent++;
		client->sent_ok = false;
		return;
	}
	if (message->effect.message == MESSAGE_GRANT && buffer) {
		buffer->sent = buffer->with_client = true;
		buffer->in_broker = false;
		if (buffer_is_live(world, buffer)) {
			kernel_check_grant(world, &message->record);
			buffer->dirty = true;
		}
	}
	memory = mapped_memory(world, message->effect.lease);
	/* What a former process has left was not sent. */
	if (message->effect.message == MESSAGE_END && memory && memory->known)
		violation(world, "an end is told before the memory is unmapped",
			  message->effect.lease, client->id);
	client->inbox[client->nr_inbox++] = *message;
}

/* What a client is sent is what the device would say now. */
static void check_state(struct world *world, const struct job *job)
{
	const struct sim_device *device = device_by_bdf(world, job->record.bdf);

	if (device->open && job->effect.suspended != device->suspended)
		violation(world, "a client is told a state that its device does not have",
			  job->effect.lease, job->effect.suspended);
}

static void send(struct world *world, const struct job *job)
{
	struct sim_client *client = client_by_id(world, job->effect.client);

	if (!client)
		return;
	if (client->sending)
		violation(world, "two messages at once", client->id, 0);
	if (job->effect.message == MESSAGE_STATE)
		check_state(world, job);
	client->sending = true;
	client->sent = false;
	client->pending = (struct sim_message){
		.kind = MSG_SEND, .effect = job->effect, .record = job->record,
		.news = job->news, .time = world->now
	};
	if (client->nr_inbox < 2)
		put_into_inbox(world, client);
}

bool process_flush(struct world *world, struct sim_client *client)
{
	struct event event = { .type = EVENT_SENT, .client = client->id };

	if (!client->sending || client->dropped)
		return false;
	if (!client->sent && client->nr_inbox >= 2)
		return false;
	if (!client->sent)
		put_into_inbox(world, client);
	event.ok = client->sent_ok;
	if (!world->calm && chance(world, 400)) {
		process_crash(world);
		return true;
	}
	client->sending = client->sent = false;
	process_handle(world, &event);
	return true;
}

static void drop(struct world *world, const struct job *job)
{
	struct sim_client *client = client_by_id(world, job->effect.client);

	if (!client)
		return;
	if (job->effect.answer != ANSWER_EVICTED) {
		check_connection_limit(world, client);
		client->known = false;
		client_lost(world, client);
		return;
	}
	for (int i = 0; i < world->nr_leases; i++)
		if (world->leases[i].client == client->id &&
		    world->leases[i].phase != LEASE_ENDED)
			violation(world, "a client that has a lease is evicted", client->id, 0);
	client->dropped = true;
	client->kept = false;
}

static void queue_job(struct world *world, const struct job *job)
{
	struct sim_device *device = NULL;

	for (int i = 0; i < DEVICES; i++)
		if (world->devices[i].number == job->effect.device)
			device = &world->devices[i];
	if (job->effect.bdf) {
		device = device_by_bdf(world, job->bdf);
		device->number = job->effect.device;
	}
	if (device->nr_jobs == QUEUE_MAX)
		violation(world, "jobs without end", 0, 0);
	device->jobs[device->nr_jobs] = *job;
	/* The patience is for the whole end: actions follow from the result of the revoke. */
	device->jobs[device->nr_jobs].since =
		job->effect.type == EFFECT_ACT || job->effect.type == EFFECT_UNMAP ?
					      device->result_since : world->now;
	device->nr_jobs++;
}

/* First come, first served. */
static void check_order(struct world *world, const struct lease_record *record)
{
	for (int i = 0; i < world->nr_leases; i++) {
		struct lease_record earlier = world->leases[i];

		if (earlier.phase != LEASE_WAITING || earlier.end || earlier.id >= record->id ||
		    !client_by_id(world, earlier.client))
			continue;
		if (earlier.wanted != ANY_INDEX)
			earlier.offset += earlier.wanted * earlier.length;
		else
			earlier.length *= earlier.count;
		if (records_conflict(&earlier, record))
			violation(world, "a request overtakes another one", record->id, earlier.id);
	}
}

static void carry_out(struct world *world, const struct job *job)
{
	struct sim_client *client;

	switch (job->effect.type) {
	case EFFECT_SAVE_START:
		world->start = job->effect.start;
		break;
	case EFFECT_SAVE_CLIENT:
		save_client(world, job->effect.client, job->watch);
		break;
	case EFFECT_SAVE_LEASE:
		world->waits += job->record.phase == LEASE_WAITING;
		save_lease(world, &job->record);
		break;
	case EFFECT_SAVE_DEVICE:
		save_device(world, job->bdf, job->effect.seconds);
		break;
	case EFFECT_FORGET_CLIENT:
		forget_client(world, job->effect.client);
		break;
	case EFFECT_FORGET_LEASE:
		forget_lease(world, job->effect.lease);
		break;
	case EFFECT_FORGET_DEVICE:
		forget_device(world, job->bdf);
		break;
	case EFFECT_KEEP:
		client = client_by_id(world, job->effect.client);
		if (client)
			client->kept = true;
		break;
	case EFFECT_REPLY:
		reply(world, job);
		break;
	case EFFECT_SEND:
		send(world, job);
		break;
	case EFFECT_DROP:
		drop(world, job);
		break;
	case EFFECT_EXPORT:
		check_order(world, &job->record);
		queue_job(world, job);
		break;
	case EFFECT_OPEN:
	case EFFECT_PREPARE:
	case EFFECT_REVOKE:
	case EFFECT_ACT:
	case EFFECT_UNMAP:
	case EFFECT_CLOSE:
		queue_job(world, job);
		break;
	case EFFECT_TIMER:
		world->timer = job->effect.time;
		break;
	case EFFECT_LOG:
		if (job->effect.log == LOG_GRANTED) {
			int i = world->nr_granted++ % (2 * RECORDS_MAX);

			world->granted[i].lease = job->effect.lease;
			world->granted[i].time = world->now;
		}
		break;
	}
}

static void carry_all_out(struct world *world)
{
	swap(world);
	for (int i = 0; i < world->nr_effects; i++) {
		if (!world->calm && world->effects[i].effect.type != EFFECT_LOG &&
		    chance(world, 60)) {
			process_crash(world);
			return;
		}
		carry_out(world, &world->effects[i]);
	}
	if (!world->calm && chance(world, 300))
		process_crash(world);
}

void process_handle(struct world *world, struct event *event)
{
	world->nr_effects = 0;
	core_handle(world->core, world->now, event);
	carry_all_out(world);
}

/* Closing has no time limit. */
static bool is_limited(const struct job *job)
{
	return job->effect.type != EFFECT_CLOSE;
}

static bool is_late(const struct world *world, const struct sim_device *device)
{
	if (device->nr_results && device->result_since + PATIENCE <= world->now)
		return true;
	for (int i = 0; i < device->nr_jobs; i++)
		if (is_limited(&device->jobs[i]) && device->jobs[i].since + PATIENCE <= world->now)
			return true;
	return false;
}

static void check_lateness(struct world *world)
{
	for (int i = 0; i < DEVICES; i++) {
		const struct sim_device *sim = &world->devices[i];
		const struct device *device = device_numbered(world->core, sim->number);

		if (device && !sim->nr_results && is_late(world, sim) &&
		    device->phase != DEVICE_CLOSING)
			violation(world, "a device that does not answer is not lost", i,
				  device->phase);
	}
}

bool process_ring(struct world *world)
{
	struct event event = { .type = EVENT_TIME };

	if (!world->timer || world->timer > world->now)
		return false;
	world->timer = 0;
	/* A device that is slow is lost, too. */
	for (int i = 0; i < DEVICES; i++)
		world->devices[i].troubles += is_late(world, &world->devices[i]);
	process_handle(world, &event);
	/* Without a catalogue there is no time limit. */
	if (!world->crashed && !world->was_broken)
		check_lateness(world);
	return true;
}

bool process_serve(struct world *world, struct sim_client *client)
{
	uint64_t id = client->id;
	struct event event;

	if (!client->known || client->dropped || !client->nr_requests || client->sending ||
	    client->nr_inbox >= 2)
		return false;
	event = client->requests[0];
	process_handle(world, &event);
	/* It is taken out when all has been done. */
	if (!world->crashed && client->id == id)
		memmove(client->requests, client->requests + 1,
			--client->nr_requests * sizeof(event));
	return true;
}

bool process_result(struct world *world, struct sim_device *device)
{
	struct event event;

	if (!device->nr_results)
		return false;
	event = device->results[0];
	device->nr_results = 0;
	/* What has changed since is reported, because it is watched from now on. */
	event.suspended = device->suspended;
	process_handle(world, &event);
	return true;
}

void process_crash(struct world *world)
{
	check_saved(world);
	world->crashed = true;
	world->crashes++;
	core_free(world->core);
	world->core = NULL;
	kernel_crash(world);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct sim_client *client = &world->clients[i];

		client->sending = client->sent = false;
		if (!client->id || client->kept)
			continue;
		if (client->told_hello && !client->dropped)
			violation(world, "a client that was told hello is lost", client->id, 0);
		client_lost(world, client);
	}
}

static void choose_catalogue(struct world *world)
{
	world->broken = world->was_broken = !world->calm && chance(world, 30);
	if (world->broken || !chance(world, 5))
		return;
	world->catalogue = random_below(world, CATALOGUES);
	world->reloads++;
}

static void lose_state(struct world *world)
{
	if (world->calm || !chance(world, 200))
		return;
	world->nr_leases = world->nr_saved_clients = world->nr_saved_devices = 0;
	for (int i = 0; i < DEVICES; i++)
		world->devices[i].troubles++;
}

static void forget_disconnected(struct world *world)
{
	for (int i = world->nr_saved_clients; i--; )
		if (!client_by_id(world, world->saved_clients[i].id))
			forget_client(world, world->saved_clients[i].id);
}

static size_t restore_clients(struct world *world, struct restored_client *clients)
{
	size_t nr = 0;

	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct sim_client *client = &world->clients[i];
		const struct client_record *saved = NULL;

		for (int j = 0; j < world->nr_saved_clients; j++)
			if (world->saved_clients[j].id == client->id)
				saved = &world->saved_clients[j];
		if (!client->id)
			continue;
		if (!saved) {
			/* The state does not know it: it is closed. */
			if (client->told_hello && world->nr_saved_clients)
				violation(world, "a client that was told hello is not saved",
					  client->id, 0);
			client->id = 0;
			continue;
		}
		client->known = true;
		clients[nr++] = (struct restored_client){
			.record = *saved, .user = client->user,
			.who = &client->who
		};
	}
	return nr;
}

/* A device that is in the store but not in the state can have any leases. */
static size_t restore_devices(struct world *world, struct restored_device *devices)
{
	size_t nr = 0;

	for (int i = 0; i < DEVICES; i++) {
		struct sim_device *device = &world->devices[i];
		bool saved = false;

		devices[nr] = (struct restored_device){ .stored = device->stored };
		strcpy(devices[nr].record.bdf, device->bdf);
		for (int j = 0; j < world->nr_saved_devices; j++)
			if (!strcmp(world->saved_devices[j].bdf, device->bdf)) {
				devices[nr].record = world->saved_devices[j];
				saved = true;
			}
		nr += saved || device->stored;
	}
	return nr;
}

void process_start(struct world *world)
{
	static struct restored_client clients[CLIENTS_MAX];
	static struct restored_device devices[DEVICES];
	struct restored restored = {
		.clients = clients, .leases = world->leases, .devices = devices,
	};
	struct lease_record leases[RECORDS_MAX];

	choose_catalogue(world);
	lose_state(world);
	forget_disconnected(world);
	world->crashed = false;
	world->timer = 0;
	for (int i = 0; i < DEVICES; i++)
		world->devices[i].number = UINT32_MAX;
	kernel_know_memory(world);
	memcpy(leases, world->leases, sizeof(leases));
	restored.leases = leases;
	restored.nr_leases = world->nr_leases;
	restored.start = world->start;
	restored.nr_clients = restore_clients(world, clients);
	restored.nr_devices = restore_devices(world, devices);
	world->core = core_new(world->broken ? NULL : &world->catalogues[world->catalogue],
			       collect_all, world);
	world->nr_effects = 0;
	if (core_restore(world->core, world->now, &restored))
		violation(world, "no memory", 0, 0);
	carry_all_out(world);
}
