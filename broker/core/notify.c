/* SPDX-License-Identifier: MIT */
#include "news.h"
#include "notify.h"

void notify_wake(struct core *core, struct client *client)
{
	if (client->awake)
		return;
	client->awake = true;
	client->next_awake = core->awake;
	core->awake = client;
}

static void queue(struct core *core, struct client *client, struct lease *lease,
		  struct notice *notice)
{
	if (!client || client->dropped || notice->queued || notice->done)
		return;
	notice->lease = lease;
	notice->queued = true;
	notice->next = NULL;
	*client->last = notice;
	client->last = &notice->next;
	notify_wake(core, client);
}

void notify(struct core *core, struct lease *lease)
{
	queue(core, lease->client, lease, &lease->to_client);
	if (lease->r.phase == LEASE_ENDED && lease->asker != lease->client)
		queue(core, lease->asker, lease, &lease->to_asker);
}

static struct notice *take_first(struct client *client)
{
	struct notice *notice = client->notices;

	client->notices = notice->next;
	if (!client->notices)
		client->last = &client->notices;
	notice->queued = false;
	return notice;
}

void notice_remove(struct client *client, struct notice *notice)
{
	struct notice **link = &client->notices;

	if (client->sending == notice)
		client->sending = NULL;
	if (!notice->queued)
		return;
	while (*link != notice)
		link = &(*link)->next;
	*link = notice->next;
	if (!notice->next)
		client->last = link;
	notice->queued = false;
}

/* False if there is nothing to send: the lease is ending, and the client is sent the end. */
static bool send(struct core *core, struct client *client, struct notice *notice)
{
	struct lease *lease = notice->lease;

	if (lease->r.phase == LEASE_ENDED)
		client->message = MESSAGE_END;
	else if (lease->r.phase != LEASE_GRANTED)
		return false;
	else if (lease->sent)
		client->message = MESSAGE_STATE;
	else
		client->message = MESSAGE_GRANT;
	client->sending = notice;
	if (client->message == MESSAGE_GRANT) {
		lease->sent = true;
		/*
		 * A grant says that the slice is live.  If the device is suspended, a
		 * state must follow.
		 */
		if (lease->device->suspended)
			queue(core, client, lease, notice);
	}
	EMIT(core, EFFECT_SEND, .client = client->r.id, .message = client->message,
	     .lease = lease->r.id, .saved_lease = &lease->r,
	     .suspended = lease->device && lease->device->suspended);
	return true;
}

void notify_continue(struct core *core)
{
	while (core->awake) {
		struct client *client = core->awake;

		core->awake = client->next_awake;
		client->awake = false;
		while (client->notices && !client->sending && !client->sending_news)
			send(core, client, take_first(client));
		if (!client->sending && !client->sending_news)
			news_send(core, client);
	}
}

struct lease *notify_sent(struct core *core, struct client *client)
{
	struct notice *notice = client->sending;

	client->sending = NULL;
	client->sending_news = false;
	notify_wake(core, client);
	if (!notice)
		return NULL;
	if (client->message == MESSAGE_END)
		notice->done = true;
	return notice->lease;
}

bool notify_is_done(const struct lease *lease)
{
	if (lease->client && !lease->to_client.done)
		return false;
	return !lease->asker || lease->asker == lease->client || lease->to_asker.done;
}

void notify_stop(struct core *core, struct client *client)
{
	struct client **link = &core->awake;

	news_unwatch(core, client);
	client->sending = NULL;
	while (client->notices)
		take_first(client);
	if (!client->awake)
		return;
	while (*link != client)
		link = &(*link)->next_awake;
	*link = client->next_awake;
	client->awake = false;
}
