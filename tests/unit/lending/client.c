// SPDX-License-Identifier: MIT
/* Clients, which check that what they are sent is true. */
#include <string.h>

#include "world.h"

struct sim_client *client_by_id(struct world *world, uint64_t id)
{
	for (int i = 0; id && i < CLIENTS_MAX; i++)
		if (world->clients[i].id == id)
			return &world->clients[i];
	return NULL;
}

uint64_t troubles_of(const struct world *world, int device)
{
	return world->devices[device].troubles;
}

static int device_of_name(const char *name)
{
	return name[0] - '0';
}

static struct outstanding *find_outstanding(struct sim_client *client, uint64_t serial)
{
	for (int i = 0; i < OUTSTANDING_MAX; i++)
		if (client->outstanding[i].serial == serial)
			return &client->outstanding[i];
	return NULL;
}

static struct held *find_held(struct sim_client *client, uint64_t lease)
{
	for (int i = 0; i < HELD_MAX; i++)
		if (client->held[i].lease == lease)
			return &client->held[i];
	return NULL;
}

static bool request(struct world *world, struct sim_client *client, struct event event)
{
	struct outstanding *outstanding = find_outstanding(client, 0);
	bool acquires = event.type == EVENT_ACQUIRE && event.name[0] < '0' + DEVICES;

	if (!outstanding || client->nr_requests == 8)
		return false;
	event.client = client->id;
	event.serial = ++client->serial;
	*outstanding = (struct outstanding){
		.serial = event.serial,
		.type = event.type,
		.lease = event.lease,
		.wait_until = event.wait ? world->now + event.wait : 0,
		.reloads = world->reloads,
		.troubles = acquires ? troubles_of(world, device_of_name(event.name)) : 0,
	};
	client->requests[client->nr_requests++] = event;
	return true;
}

void client_connect(struct world *world, struct sim_client *client)
{
	uint64_t user = random_below(world, USERS);

	*client = (struct sim_client){
		.id = ++world->last_client,
		.user = user,
		.who = { .uid = user ? 1000 + user : 0 },
		.reads = !chance(world, 8),
	};
	request(world, client, (struct event){ .type = EVENT_HELLO, .name = "sim" });
}

/* All fds and mappings of it go. */
static void forget_buffers(struct world *world, struct sim_client *client)
{
	for (int i = 0; i < HELD_MAX; i++) {
		struct buffer *buffer = buffer_by_id(world, client->held[i].buffer);

		if (client->held[i].lease && buffer)
			buffer->with_client = false;
	}
	for (int i = 0; i < client->nr_inbox; i++) {
		struct buffer *buffer = buffer_by_id(world, client->inbox[i].record.buffer);

		if (client->inbox[i].kind == MSG_SEND &&
		    client->inbox[i].effect.message == MESSAGE_GRANT && buffer)
			buffer->with_client = false;
	}
}

void client_close(struct world *world, struct sim_client *client)
{
	struct event gone = { .type = EVENT_GONE, .client = client->id };
	bool known = client->known;

	/* Fds and mappings can outlive the connection. */
	if (chance(world, 2))
		forget_buffers(world, client);
	client->id = 0;
	if (known && !world->crashed)
		process_handle(world, &gone);
}

/* The broker's end is closed, and all has been read. */
void client_lost(struct world *world, struct sim_client *client)
{
	forget_buffers(world, client);
	client->id = 0;
}

static void release_something(struct world *world, struct sim_client *client)
{
	struct held *held = &client->held[random_below(world, HELD_MAX)];

	for (int i = 0; i < HELD_MAX && !held->lease; i++)
		held = &client->held[i];
	if (!held->lease)
		return;
	if (chance(world, 4))
		request(world, client, (struct event){
			.type = EVENT_RENEW, .lease = held->lease,
			.seconds = random_below(world, 3) });
	else if (request(world, client, (struct event){
			.type = EVENT_RELEASE, .lease = held->lease }))
		held->asked = true;
}

static void cancel_something(struct world *world, struct sim_client *client)
{
	for (int i = 0; i < OUTSTANDING_MAX; i++)
		if (client->outstanding[i].serial && client->outstanding[i].answered) {
			request(world, client, (struct event){
				.type = EVENT_RELEASE, .lease = client->outstanding[i].lease });
			return;
		}
}

static void revoke_something(struct world *world, struct sim_client *client)
{
	struct sim_client *other = &world->clients[random_below(world, CLIENTS_MAX)];
	struct held *held = &other->held[random_below(world, HELD_MAX)];

	if (!other->id || !held->lease)
		return;
	if (request(world, client, (struct event){ .type = EVENT_REVOKE, .lease = held->lease }) &&
	    !client->user)
		/* From now on that is a good reason. */
		held->reloads = UINT64_MAX;
}

static void release_of_others(struct world *world, struct sim_client *client)
{
	struct sim_client *other = &world->clients[random_below(world, CLIENTS_MAX)];
	struct held *held = &other->held[random_below(world, HELD_MAX)];

	if (other != client && other->id && held->lease)
		request(world, client, (struct event){
			.type = EVENT_RELEASE, .lease = held->lease });
}

static void close_something(struct world *world, struct sim_client *client)
{
	struct held *held = &client->held[random_below(world, HELD_MAX)];
	struct buffer *buffer = buffer_by_id(world, held->buffer);

	if (!held->lease || !buffer)
		return;
	held->closed = true;
	buffer->with_client = false;
}

static void watch(struct world *world, struct sim_client *client)
{
	if (chance(world, client->watches ? 50 : 4))
		request(world, client, (struct event){ .type = EVENT_WATCH });
}

/* Root's leases of others, for a time that may be too long. */
static void renew_of_others(struct world *world, struct sim_client *client)
{
	struct sim_client *other = &world->clients[random_below(world, CLIENTS_MAX)];
	struct held *held = &other->held[random_below(world, HELD_MAX)];

	if (other == client || !other->id || !held->lease)
		return;
	if (request(world, client, (struct event){
			.type = EVENT_RENEW, .lease = held->lease, .seconds = random_below(world, 12) }) &&
	    !client->user)
		/* The client is not notified of its new time. */
		held->renewed = true;
}

void client_act(struct world *world, struct sim_client *client)
{
	if (!client->greeted)
		return;
	switch (random_below(world, 14)) {
	case 12:
		watch(world, client);
		break;
	case 13:
		renew_of_others(world, client);
		break;
	case 0: case 1: case 2: case 3:
		request(world, client, (struct event){
			.type = EVENT_ACQUIRE,
			.name = any_slice(world),
			.index = chance(world, 2) ? ANY_INDEX : random_below(world, 3),
			.flags = chance(world, 3) ? SLICE_READ_ONLY : 0,
			.seconds = chance(world, 3) ? random_below(world, 25) : 0,
			.wait = chance(world, 2) ? random_below(world, 20000000) : 0 });
		break;
	case 4: case 5: case 6: case 7:
		release_something(world, client);
		break;
	case 8:
		cancel_something(world, client);
		break;
	case 9:
		if (chance(world, 4))
			revoke_something(world, client);
		break;
	case 11:
		release_of_others(world, client);
		break;
	case 10:
		if (chance(world, 20))
			close_something(world, client);
		break;
	}
}

static void answer_all_of(struct sim_client *client, uint64_t serial)
{
	struct outstanding *outstanding = serial ? find_outstanding(client, serial) : NULL;

	if (outstanding)
		outstanding->serial = 0;
}

static void read_reply(struct world *world, struct sim_client *client,
		       const struct sim_message *message)
{
	struct outstanding *outstanding = find_outstanding(client, message->effect.serial);
	struct held *held;

	/* A second answer, of another process. */
	if (!outstanding)
		return;
	if (outstanding->type == EVENT_HELLO)
		client->greeted = client->told_hello = true;
	if (outstanding->type == EVENT_WATCH) {
		client->watches = true;
		client->watches_since = message->time;
	}
	if (outstanding->type == EVENT_ACQUIRE && message->effect.answer == ANSWER_WAITING) {
		if (outstanding->answered && outstanding->lease != message->effect.lease)
			violation(world, "one request waits twice", outstanding->lease,
				  message->effect.lease);
		outstanding->answered = true;
		outstanding->lease = message->effect.lease;
		return;
	}
	if (outstanding->answered)
		violation(world, "a request that waits is answered otherwise", outstanding->lease,
			  message->effect.answer);
	held = find_held(client, outstanding->lease);
	if (outstanding->type == EVENT_RENEW && held) {
		if (message->effect.answer == ANSWER_DONE)
			held->expires = message->effect.seconds ?
				message->time + message->effect.seconds * 1000000ULL : 0;
		else
			/* It may have been renewed, and then have ended. */
			held->expires = 1;
	}
	if (outstanding->type == EVENT_RELEASE && held)
		held->refused = outstanding->serial;
	outstanding->serial = 0;
}

/* It releases unwanted leases as soon as there is room for the request. */
void client_release_unwanted(struct world *world, struct sim_client *client)
{
	for (int i = 0; i < HELD_MAX; i++) {
		struct held *held = &client->held[i];

		if (held->lease && held->unwanted && !held->asked)
			held->asked = request(world, client, (struct event){
				.type = EVENT_RELEASE, .lease = held->lease });
	}
}

static void read_grant(struct world *world, struct sim_client *client,
		       const struct lease_record *record)
{
	struct outstanding *outstanding = find_outstanding(client, record->serial);
	struct held *held = find_held(client, 0);
	bool wanted = outstanding && outstanding->type == EVENT_ACQUIRE;

	if (find_held(client, record->id))
		violation(world, "a lease is granted twice", record->id, 0);
	if (!held)
		violation(world, "a client holds more than it may", client->id, 0);
	if (wanted && outstanding->answered && outstanding->lease != record->id)
		violation(world, "the lease is not the one that waited", outstanding->lease, record->id);
	*held = (struct held){
		.lease = record->id,
		.buffer = record->buffer,
		.device = device_by_bdf(world, record->bdf) - world->devices,
		.expires = record->expires,
		.reloads = wanted ? outstanding->reloads : world->reloads,
		.troubles = wanted ? outstanding->troubles : 0,
		.unwanted = !wanted,
	};
	if (wanted)
		outstanding->serial = 0;
	/* It did not want to wait any longer, just when it came. */
	for (int i = 0; i < OUTSTANDING_MAX; i++)
		if (client->outstanding[i].serial && client->outstanding[i].type == EVENT_RELEASE &&
		    client->outstanding[i].lease == record->id)
			held->asked = true;
	world->grants++;
}

/* It has asked for another time, and does not know the result. */
static bool is_renewing(const struct sim_client *client, uint64_t lease)
{
	for (int i = 0; i < OUTSTANDING_MAX; i++)
		if (client->outstanding[i].serial && client->outstanding[i].type == EVENT_RENEW &&
		    client->outstanding[i].lease == lease)
			return true;
	return false;
}

static void check_reason(struct world *world, const struct sim_client *client,
			 const struct held *held, const struct lease_record *record)
{
	bool reloaded = held->reloads != world->reloads;

	/* It does not know the states before the first message about the lease. */
	if (held->unwanted)
		return;
	switch (record->end) {
	case END_RELEASED:
		if (held->asked)
			return;
		break;
	case END_EXPIRED:
		if (reloaded || held->renewed || is_renewing(client, record->id) ||
		    (held->expires && held->expires <= world->now))
			return;
		break;
	case END_REVOKED:
		if (reloaded)
			return;
		break;
	case END_DEVICE:
		if (reloaded || troubles_of(world, held->device) != held->troubles)
			return;
		break;
	case END_CLIENT:
		if (held->closed)
			return;
		break;
	case END_UNSENT:
		if (world->unsent)
			return;
		break;
	}
	violation(world, "a lease ends for a reason that is not true", record->id, record->end);
}

static void check_refusal(struct world *world, const struct outstanding *outstanding,
			  const struct lease_record *record)
{
	switch (record->end) {
	case END_BUSY:
		if (!outstanding->wait_until)
			return;
		break;
	case END_TIMEOUT:
		if (outstanding->wait_until && outstanding->wait_until <= world->now)
			return;
		break;
	default:
		/* Cancelled, or it was granted, and ended before the grant could be sent. */
		return;
	}
	violation(world, "a request is refused for a reason that is not true", record->id,
		  record->end);
}

static void read_end(struct world *world, struct sim_client *client,
		     const struct lease_record *record)
{
	struct held *held = find_held(client, record->id);
	struct buffer *buffer = buffer_by_id(world, record->buffer);
	struct outstanding *outstanding;

	if (buffer && buffer->sent && buffer_is_live(world, buffer))
		violation(world, "a lease that ended still reaches the device", record->id, 0);
	if (record->asker == client->id)
		answer_all_of(client, record->asker_serial);
	if (record->client != client->id)
		return;
	outstanding = find_outstanding(client, record->serial);
	if (outstanding) {
		check_refusal(world, outstanding, record);
		outstanding->serial = 0;
	}
	if (!held)
		return;
	if (record->asker == client->id && record->asker_serial == held->refused)
		violation(world, "a release is refused, and answered", record->id, 0);
	check_reason(world, client, held, record);
	if (buffer)
		buffer->with_client = false;
	held->lease = 0;
	world->ends++;
}

static void read_state(struct world *world, struct sim_client *client,
		       const struct lease_record *record, bool suspended)
{
	struct outstanding *outstanding = find_outstanding(client, record->serial);
	struct held *held = find_held(client, record->id);

	if (held) {
		held->suspended = suspended;
		return;
	}
	/* The grant of a process that died did not come: the client releases the lease. */
	if (outstanding && outstanding->type == EVENT_ACQUIRE)
		outstanding->serial = 0;
	held = find_held(client, 0);
	if (!held)
		violation(world, "a client is told of more than it may hold", client->id, 0);
	*held = (struct held){
		.lease = record->id,
		.device = device_by_bdf(world, record->bdf) - world->devices,
		.reloads = world->reloads,
		.unwanted = true,
		.suspended = suspended,
	};
}

static int find_seen(const struct sim_client *client, uint64_t lease)
{
	int i = 0;

	while (i < client->nr_seen && client->seen[i] != lease)
		i++;
	return i;
}

bool client_has_seen(const struct sim_client *client, uint64_t lease)
{
	return find_seen(client, lease) < client->nr_seen;
}

/* The client is sent news of its user's leases, and root of all. */
static void read_news(struct world *world, struct sim_client *client, const struct news *news)
{
	bool sees = !client->user || news->whom == FOR_ALL || news->type == NEWS_MISSED ||
		    (news->whom == FOR_USER && news->user == client->user);
	int at = find_seen(client, news->lease);

	world->news++;
	if (!sees)
		violation(world, "a watcher is told of others", client->id, news->lease);
	switch (news->type) {
	case NEWS_GRANTED:
		if (at < client->nr_seen)
			violation(world, "a watcher is told of a grant twice", client->id, news->lease);
		if (client->nr_seen == RECORDS_MAX)
			violation(world, "a watcher sees leases without end", client->id, 0);
		client->seen[client->nr_seen++] = news->lease;
		break;
	case NEWS_ENDED:
		if (at < client->nr_seen)
			client->seen[at] = client->seen[--client->nr_seen];
		break;
	case NEWS_RESTARTED:
	case NEWS_MISSED:
		world->missed += news->missed;
		client->nr_seen = 0;
		client->watches_since = news->time;
		break;
	default:
		break;
	}
}

bool client_read(struct world *world, struct sim_client *client)
{
	struct sim_message message;

	if (!client->nr_inbox)
		return false;
	message = client->inbox[0];
	memmove(client->inbox, client->inbox + 1, --client->nr_inbox * sizeof(message));
	if (message.kind == MSG_REPLY)
		read_reply(world, client, &message);
	else if (message.effect.message == MESSAGE_NEWS)
		read_news(world, client, &message.news);
	else if (message.effect.message == MESSAGE_GRANT)
		read_grant(world, client, &message.record);
	else if (message.effect.message == MESSAGE_END)
		read_end(world, client, &message.record);
	else
		read_state(world, client, &message.record, message.effect.suspended);
	return true;
}
