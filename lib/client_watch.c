/* SPDX-License-Identifier: MIT */
/*
 * News of the broker.  They can come during any call, and are kept until the program
 * takes them.  If there are too many, the latest are only counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "client_internal.h"

static_assert((int)VDB_NEWS_GRANTED == (int)VDP_NEWS_GRANTED && (int)VDB_NEWS_MISSED == (int)VDP_NEWS_MISSED,
	      "same news");

#define ROOM	64

struct news_queue {
	unsigned int first, nr;
	uint64_t missed;	/* after those that are kept */
	struct vdp_news list[ROOM];
};

static int start(struct vdb_client *client)
{
	struct vdp_plain request;
	struct message m;

	return client_request(client, &request.header, VDP_WATCH, sizeof(request), VDP_WATCH | VDP_ANSWER, &m);
}

int vdb_client_watch(struct vdb_client *client)
{
	bool watches = client->news;

	/* News may come before the answer. */
	if (!watches)
		client->news = calloc(1, sizeof(*client->news));
	if (!client->news)
		return client_fail(client, ENOMEM, "there is no memory for news");
	if (!start(client))
		return 0;
	if (watches || errno == ETIMEDOUT)
		return -1;
	free(client->news);
	client->news = NULL;
	return -1;
}

bool client_has_news(const struct vdb_client *client)
{
	return client->news && (client->news->nr || client->news->missed);
}

static bool has_texts(const struct vdp_news *news)
{
	return client_is_text(news->name, sizeof(news->name)) && client_is_text(news->bdf, sizeof(news->bdf)) &&
	       client_is_text(news->client, sizeof(news->client)) && client_is_text(news->reason, sizeof(news->reason));
}

int client_take_news(struct vdb_client *client, const struct vdp_news *news)
{
	struct news_queue *queue = client->news;

	if (!queue)
		return client_break_off(client, EPROTO, "the broker sends news to a client that does not watch");
	if (!has_texts(news))
		return client_break_off(client, EPROTO, "the broker's news message has a text without an end");
	/* Later news would be out of order, because those before them are missed. */
	if (queue->nr == ROOM || queue->missed)
		queue->missed += news->type == VDP_NEWS_MISSED ? news->missed : 1;
	else
		queue->list[(queue->first + queue->nr++) % ROOM] = *news;
	eventfd_write(client->pending, 1);
	return 0;
}

static void report(const struct vdp_news *from, struct vdb_news *to)
{
	*to = (struct vdb_news){
		.type = (enum vdb_news_type)from->type,
		.end = (enum vdb_end)from->end,
		.time = from->time,
		.missed = from->missed,
		.lease = from->lease,
		.offset = from->offset,
		.length = from->length,
		.bar = from->bar,
		.flags = from->flags & (VDP_READ_ONLY | VDP_WC),
		.index = from->index,
		.seconds = from->seconds,
		.pid = from->pid,
		.uid = from->uid,
		.gid = from->gid,
		.interrupt = from->flags & VDP_INTERRUPT,
	};
	memcpy(to->name, from->name, sizeof(to->name));
	memcpy(to->bdf, from->bdf, sizeof(to->bdf));
	memcpy(to->client, from->client, sizeof(to->client));
	memcpy(to->reason, from->reason, sizeof(to->reason));
}

/* 1 and the oldest that is kept; 0: none is. */
static int take_oldest(struct vdb_client *client, void *found)
{
	struct news_queue *queue = client->news;
	struct vdb_news *news = found;

	if (!client_has_news(client)) {
		client_be_quiet(client);
		return 0;
	}
	if (queue->nr) {
		report(&queue->list[queue->first], news);
		queue->first = (queue->first + 1) % ROOM;
		queue->nr--;
		return 1;
	}
	*news = (struct vdb_news){ .type = VDB_NEWS_MISSED, .missed = queue->missed };
	queue->missed = 0;
	return 1;
}

int vdb_client_news_sized(struct vdb_client *client, struct vdb_news *news, size_t size)
{
	struct vdb_news found = { 0 };
	int ret;

	client->error[0] = '\0';
	if (!vdb_is_size(size, VDB_FIRST_NEWS))
		return client_fail(client, EINVAL, "the program's struct is smaller than the library's first one");
	if (!client->news)
		return client_fail(client, EINVAL, "this client does not watch");
	ret = client_next(client, take_oldest, &found);
	if (ret > 0)
		vdb_fill(news, size, &found, sizeof(found));
	return ret;
}
