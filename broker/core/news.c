/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "machine.h"
#include "news.h"
#include "request.h"
#include "notify.h"

static bool may_see(const struct core *core, const struct client *client, const struct news *news)
{
	if (news->whom == FOR_ALL)
		return true;
	if (news->whom == FOR_USER && news->user == client->account->user)
		return true;
	return request_is_from_admin(core, client);
}

static struct news *numbered(const struct core *core, uint64_t number)
{
	return &core->news[number % NEWS_ROOM];
}

static bool is_watching(const struct core *core, const struct client *client)
{
	const struct client *other = core->watchers;

	while (other && other != client)
		other = other->next_watcher;
	return other;
}

/* A client that watches already keeps its place. */
bool news_watch(struct core *core, struct client *client, uint64_t serial)
{
	if (!core->news)
		core->news = calloc(NEWS_ROOM, sizeof(*core->news));
	if (!core->news)
		return false;
	client->r.watch = serial;
	if (is_watching(core, client))
		return true;
	client->next_news = core->next_news;
	client->next_watcher = core->watchers;
	core->watchers = client;
	return true;
}

void news_unwatch(struct core *core, struct client *client)
{
	struct client **link = &core->watchers;

	while (*link && *link != client)
		link = &(*link)->next_watcher;
	if (*link)
		*link = client->next_watcher;
}

/* The oldest makes room for the next.  A client that was not sent it has missed it. */
static void drop_oldest(struct core *core)
{
	uint64_t oldest = core->next_news - NEWS_ROOM;

	for (struct client *client = core->watchers; client; client = client->next_watcher) {
		if (client->next_news != oldest)
			continue;
		client->next_news++;
		client->missed += may_see(core, client, numbered(core, oldest));
	}
}

static void add(struct core *core, const struct news *news)
{
	if (core->next_news >= NEWS_ROOM)
		drop_oldest(core);
	for (struct client *client = core->watchers; client; client = client->next_watcher) {
		if (may_see(core, client, news))
			notify_wake(core, client);
		else if (client->next_news == core->next_news)
			client->next_news++;
	}
	*numbered(core, core->next_news++) = *news;
}

/* NULL: it has disconnected. */
static void name_client(struct news *news, const struct client *client)
{
	if (!client)
		return;
	news->pid = client->who->pid;
	news->uid = client->who->uid;
	news->gid = client->who->gid;
	snprintf(news->client, sizeof(news->client), "%s", client->r.name);
}

void news_of_lease(struct core *core, enum news_type type, const struct lease *lease,
		   uint32_t seconds)
{
	struct news news;

	if (!core->watchers)
		return;
	news = (struct news){
		.type = type,
		/* A lease of a former process whose client has disconnected has no account. */
		.whom = lease->account ? FOR_USER : FOR_ADMINS,
		.user = lease->account ? lease->account->user : 0,
		.time = core->now,
		.lease = lease->r.id,
		.offset = lease->r.offset,
		.length = lease->r.length,
		.bar = lease->r.bar,
		.flags = lease->r.flags,
		.index = lease->r.index,
		.seconds = seconds,
		.end = lease->r.end,
	};
	snprintf(news.name, sizeof(news.name), "%s", lease->r.slice);
	snprintf(news.bdf, sizeof(news.bdf), "%s", lease->r.bdf);
	name_client(&news, lease->client);
	add(core, &news);
}

void news_of_device(struct core *core, enum news_type type, const struct device *device)
{
	const struct catalogue_device *configured = NULL;
	struct news news = {
		.type = type,
		.whom = FOR_ADMINS,
		.time = core->now,
		.why = type == NEWS_DEVICE_LOST ? device->why : NULL,
	};

	if (!core->watchers)
		return;
	if (core->catalogue)
		configured = catalogue_find_device(core->catalogue, device->r.bdf);
	snprintf(news.name, sizeof(news.name), "%s", configured ? configured->name : "");
	snprintf(news.bdf, sizeof(news.bdf), "%s", device->r.bdf);
	add(core, &news);
}

void news_of_restart(struct core *core)
{
	if (core->watchers)
		add(core, &(struct news){ .type = NEWS_RESTARTED, .whom = FOR_ALL, .time = core->now });
}

static void send(struct core *core, struct client *client, const struct news *news)
{
	client->sending_news = true;
	EMIT(core, EFFECT_SEND, .client = client->r.id, .serial = client->r.watch,
	     .message = MESSAGE_NEWS, .news = news);
}

static void send_missed(struct core *core, struct client *client)
{
	const struct news news = {
		.type = NEWS_MISSED, .time = core->now, .missed = client->missed,
	};

	client->missed = 0;
	send(core, client, &news);
}

void news_send(struct core *core, struct client *client)
{
	if (!client->r.watch)
		return;
	if (client->missed) {
		send_missed(core, client);
		return;
	}
	while (client->next_news != core->next_news) {
		const struct news *news = numbered(core, client->next_news++);

		if (!may_see(core, client, news))
			continue;
		send(core, client, news);
		break;
	}
}
