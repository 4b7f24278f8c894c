/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "end.h"
#include "grant.h"
#include "lease_set.h"
#include "news.h"
#include "request.h"

#define USEC	1000000ULL

static void reply(struct core *core, const struct event *event, enum answer answer)
{
	EMIT(core, EFFECT_REPLY, .client = event->client, .serial = event->serial,
	     .answer = answer);
}

bool request_is_from_admin(const struct core *core, const struct client *client)
{
	return !client->who->uid ||
	       (core->catalogue && policy_allows(&core->catalogue->admins, client->who));
}

static void hello(struct core *core, struct client *client, const struct event *event)
{
	/*
	 * It can come again: the process that kept the connection can have died before
	 * it answered.
	 */
	if (!client->greeted) {
		client->greeted = true;
		snprintf(client->r.name, sizeof(client->r.name), "%s", event->name);
		EMIT(core, EFFECT_KEEP, .client = client->r.id);
		EMIT(core, EFFECT_SAVE_CLIENT, .client = client->r.id, .saved_client = &client->r);
	}
	reply(core, event, ANSWER_DONE);
}

static void end(struct core *core, struct client *client, struct lease *lease,
		const struct event *event, enum end why)
{
	if (!lease || lease->r.end) {
		reply(core, event, ANSWER_NO_LEASE);
		return;
	}
	lease_set_asker(lease, client, event->serial);
	end_begin(core, lease, why);
}

static void renew(struct core *core, const struct client *client, struct lease *lease,
		  const struct event *event)
{
	uint32_t seconds;

	if (!lease || lease->r.phase != LEASE_GRANTED ||
	    (lease->client != client && !request_is_from_admin(core, client))) {
		reply(core, event, ANSWER_NO_LEASE);
		return;
	}
	if (lease->r.max_seconds && event->seconds > lease->r.max_seconds) {
		reply(core, event, ANSWER_INVALID);
		return;
	}
	seconds = event->seconds ? event->seconds : lease->r.max_seconds;
	lease->r.expires = seconds ? core->now + seconds * USEC : 0;
	deadline_set(&core->deadlines, lease, lease->r.expires);
	lease_save(core, lease);
	EMIT(core, EFFECT_REPLY, .client = event->client, .serial = event->serial,
	     .answer = ANSWER_DONE, .lease = lease->r.id, .seconds = seconds);
	news_of_lease(core, NEWS_RENEWED, lease, seconds);
}

/* Like a hello, it can come again. */
static void watch(struct core *core, struct client *client, const struct event *event)
{
	if (!news_watch(core, client, event->serial)) {
		reply(core, event, ANSWER_NO_MEMORY);
		return;
	}
	EMIT(core, EFFECT_SAVE_CLIENT, .client = client->r.id, .saved_client = &client->r);
	reply(core, event, ANSWER_DONE);
}

void request_handle(struct core *core, struct client *client, const struct event *event)
{
	struct lease *lease;

	/* A former process can have saved it, but not taken it out of the socket. */
	if (event->serial <= client->seen)
		return;
	client->seen = event->serial;
	client->active = core->now;
	if (event->type == EVENT_HELLO) {
		hello(core, client, event);
		return;
	}
	if (event->type == EVENT_ACQUIRE) {
		grant_request(core, client, event);
		return;
	}
	if (event->type == EVENT_WATCH) {
		watch(core, client, event);
		return;
	}
	lease = table_find(&core->leases, event->lease);
	if (event->type == EVENT_RENEW)
		renew(core, client, lease, event);
	else if (event->type == EVENT_RELEASE)
		end(core, client, lease && lease->client == client ? lease : NULL, event,
		    END_RELEASED);
	else if (!request_is_from_admin(core, client))
		reply(core, event, ANSWER_FORBIDDEN);
	else
		end(core, client, lease, event, END_REVOKED);
}
