/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/news.h"
#include "protocol/encode.h"

static_assert(VDP_WC == SLICE_WC && VDP_EXCLUSIVE == SLICE_EXCLUSIVE && VDP_INTERRUPT == SLICE_INTERRUPT,
	      "same bits");
static_assert((int)VDP_END_NONE == (int)END_NONE && (int)VDP_END_RELEASED == (int)END_RELEASED &&
	      (int)VDP_END_EXPIRED == (int)END_EXPIRED && (int)VDP_END_REVOKED == (int)END_REVOKED &&
	      (int)VDP_END_DEVICE == (int)END_DEVICE && (int)VDP_END_CLIENT == (int)END_CLIENT &&
	      (int)VDP_END_UNSENT == (int)END_UNSENT && (int)VDP_END_EXPORT == (int)END_EXPORT &&
	      (int)VDP_END_BUSY == (int)END_BUSY && (int)VDP_END_TIMEOUT == (int)END_TIMEOUT, "same ends");
static_assert((int)VDP_NEWS_GRANTED == (int)NEWS_GRANTED && (int)VDP_NEWS_RENEWED == (int)NEWS_RENEWED &&
	      (int)VDP_NEWS_ENDED == (int)NEWS_ENDED && (int)VDP_NEWS_DEVICE_OPEN == (int)NEWS_DEVICE_OPEN &&
	      (int)VDP_NEWS_DEVICE_LOST == (int)NEWS_DEVICE_LOST &&
	      (int)VDP_NEWS_DEVICE_SUSPENDED == (int)NEWS_DEVICE_SUSPENDED &&
	      (int)VDP_NEWS_DEVICE_RESUMED == (int)NEWS_DEVICE_RESUMED &&
	      (int)VDP_NEWS_RESTARTED == (int)NEWS_RESTARTED && (int)VDP_NEWS_MISSED == (int)NEWS_MISSED, "same news");

static void begin(struct packet *packet, uint32_t type, uint64_t serial, size_t size)
{
	memset(&packet->body, 0, size);
	packet->nr_fds = 0;
	packet->size = size;
	packet->body.header.type = type;
	packet->body.header.serial = serial;
}

void encode_error(struct packet *packet, uint64_t serial, enum vdp_error_code code,
		  const char *format, ...)
{
	va_list args;

	begin(packet, VDP_ERROR, serial, sizeof(packet->body.error));
	packet->body.error.code = code;
	va_start(args, format);
	vsnprintf(packet->body.error.text, sizeof(packet->body.error.text), format, args);
	va_end(args);
}

void encode_reloaded(struct packet *packet, uint64_t serial)
{
	begin(packet, VDP_RELOAD | VDP_ANSWER, serial, sizeof(packet->body.plain));
}

static void encode_done(struct packet *packet, const struct effect *effect,
			const struct event *request, bool admin)
{
	if (request->type == EVENT_HELLO) {
		begin(packet, VDP_HELLO | VDP_ANSWER, effect->serial, sizeof(packet->body.hello));
		packet->body.hello.version = VDP_VERSION;
		packet->body.hello.admin = admin;
	} else if (request->type == EVENT_WATCH) {
		begin(packet, VDP_WATCH | VDP_ANSWER, effect->serial, sizeof(packet->body.plain));
	} else {
		begin(packet, VDP_RENEW | VDP_ANSWER, effect->serial, sizeof(packet->body.renew));
		packet->body.renew.seconds = effect->seconds;
	}
}

static void encode_invalid(struct packet *packet, const struct effect *effect,
			   const struct event *request)
{
	if (request->type == EVENT_RENEW)
		encode_error(packet, effect->serial, VDP_ERROR_INVALID,
			     "lease %" PRIu64 " cannot last for %u s from now; \"vfio-dmabuf slices\" shows the limit of its slice",
			     request->lease, request->seconds);
	else
		encode_error(packet, effect->serial, VDP_ERROR_INVALID,
			     "index %" PRId64 ", flags 0x%x or %u s do not fit \"%s\"; \"vfio-dmabuf slices\" shows what does",
			     request->index == VDP_ANY_INDEX ? -1 : (int64_t)request->index,
			     request->flags, request->seconds, request->name);
}

static const char *whose(enum event_type request, bool admin)
{
	if (request == EVENT_REVOKE || (request == EVENT_RENEW && admin))
		return "";
	return request == EVENT_RENEW ? " of this connection (administrators can renew others)" :
	       " of this connection";
}

void encode_reply(struct packet *packet, const struct effect *effect,
		  const struct event *request, bool admin)
{
	const char *name = request->name ?: "";
	uint64_t serial = effect->serial;

	switch (effect->answer) {
	case ANSWER_DONE:
		encode_done(packet, effect, request, admin);
		break;
	case ANSWER_WAITING:
		begin(packet, VDP_ACQUIRE | VDP_ANSWER, serial, sizeof(packet->body.waiting));
		packet->body.waiting.lease = effect->lease;
		break;
	case ANSWER_NO_SLICE:
		encode_error(packet, serial, VDP_ERROR_NO_SLICE,
			     "there is no slice \"%s\" that you are allowed to lease; \"vfio-dmabuf slices\" lists those", name);
		break;
	case ANSWER_BUSY:
		encode_error(packet, serial, VDP_ERROR_BUSY,
			     "\"%s\" is granted to others; try later, or wait for it", name);
		break;
	case ANSWER_INVALID:
		encode_invalid(packet, effect, request);
		break;
	case ANSWER_LIMIT:
		encode_error(packet, serial, VDP_ERROR_LIMIT,
			     "no lease is left for \"%s\": this connection, your user or all clients together have reached the limit; release one",
			     name);
		break;
	case ANSWER_MEMORY_LIMIT:
		encode_error(packet, serial, VDP_ERROR_LIMIT,
			     "no memory is left for \"%s\": this connection, your user or all clients together have reached the limit; release a lease",
			     name);
		break;
	case ANSWER_NO_LEASE:
		encode_error(packet, serial, VDP_ERROR_NO_LEASE,
			     "there is no lease %" PRIu64 "%s, or it %s", request->lease,
			     whose(request->type, admin),
			     request->type == EVENT_RENEW ? "is not granted" : "is ending already");
		break;
	case ANSWER_FORBIDDEN:
		encode_error(packet, serial, VDP_ERROR_FORBIDDEN,
			     "only administrators can do this; ask one, or have the setting \"admins\" of the broker name you");
		break;
	case ANSWER_DEVICE:
		encode_error(packet, serial, VDP_ERROR_DEVICE,
			     "the device of \"%s\" is not open; the broker opens it when it can, try later", name);
		break;
	case ANSWER_NO_CATALOGUE:
		encode_error(packet, serial, VDP_ERROR_CONFIGURATION,
			     "the broker's configuration has errors, so it grants nothing new; see \"vfio-dmabuf status\"");
		break;
	case ANSWER_NO_MEMORY:
	case ANSWER_EVICTED:
		encode_error(packet, serial, VDP_ERROR_MEMORY, "the broker has no memory left; try later");
		break;
	}
}

static void encode_grant(struct packet *packet, const struct lease_record *lease)
{
	begin(packet, VDP_GRANT, lease->serial, sizeof(packet->body.grant));
	packet->nr_fds = 2 + !!lease->memory + !!(lease->flags & SLICE_INTERRUPT);
	packet->body.grant.lease = lease->id;
	packet->body.grant.offset = lease->offset;
	packet->body.grant.length = lease->length;
	packet->body.grant.bar = lease->bar;
	packet->body.grant.flags = lease->flags;
	packet->body.grant.index = lease->index;
	packet->body.grant.seconds = lease->seconds;
	memcpy(packet->body.grant.bdf, lease->bdf, VDP_BDF);
	packet->body.grant.memory = lease->memory;
	packet->body.grant.iova = lease->iova;
}

/* To the lease's client, to the client that asked for the end, or to one that is both. */
static void encode_end(struct packet *packet, const struct lease_record *lease, uint64_t client)
{
	begin(packet, VDP_END, lease->client == client ? lease->serial : 0, sizeof(packet->body.end));
	packet->body.end.lease = lease->id;
	packet->body.end.answers = lease->asker == client ? lease->asker_serial : 0;
	packet->body.end.end = lease->end;
}

static void encode_news(struct packet *packet, const struct news *news, uint64_t serial)
{
	struct vdp_news *to = &packet->body.news;

	begin(packet, VDP_NEWS, serial, sizeof(*to));
	to->time = news->time;
	to->lease = news->lease;
	to->offset = news->offset;
	to->length = news->length;
	to->missed = news->missed;
	to->type = news->type;
	to->end = news->end;
	to->bar = news->bar;
	to->flags = news->flags;
	to->index = news->index;
	to->seconds = news->seconds;
	to->pid = news->pid;
	to->uid = news->uid;
	to->gid = news->gid;
	snprintf(to->name, sizeof(to->name), "%s", news->name);
	snprintf(to->bdf, sizeof(to->bdf), "%s", news->bdf);
	snprintf(to->client, sizeof(to->client), "%s", news->client);
	snprintf(to->reason, sizeof(to->reason), "%s", news->why ?: "");
}

void encode_send(struct packet *packet, const struct effect *effect)
{
	const struct lease_record *lease = effect->saved_lease;

	switch (effect->message) {
	case MESSAGE_GRANT:
		encode_grant(packet, lease);
		break;
	case MESSAGE_STATE:
		begin(packet, VDP_STATE, lease->serial, sizeof(packet->body.state));
		packet->body.state.lease = lease->id;
		packet->body.state.state = effect->suspended ? VDP_STATE_SUSPENDED : VDP_STATE_LIVE;
		break;
	case MESSAGE_END:
		encode_end(packet, lease, effect->client);
		break;
	case MESSAGE_NEWS:
		encode_news(packet, effect->news, effect->serial);
		break;
	}
}
