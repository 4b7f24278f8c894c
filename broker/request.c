/* SPDX-License-Identifier: MIT */
/* Requests: what each asks for, and what is wrong with those that ask for nothing. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "escape.h"
#include "log.h"
#include "message.h"

enum handled request_error(struct client *client, uint32_t serial,
			   enum vdp_error_code code, const char *format, ...)
{
	struct vdp_error error = {
		.header = { .type = VDP_ERROR, .serial = serial },
		.code = code,
	};
	va_list args;

	va_start(args, format);
	vsnprintf(error.text, sizeof(error.text), format, args);
	va_end(args);
	if (!client_send(client, &error, sizeof(error), NULL, 0))
		return code <= VDP_ERROR_VERSION ? HANDLED_DROP : HANDLED_LATER;
	return code <= VDP_ERROR_VERSION ? HANDLED_DROP : HANDLED_DONE;
}

enum handled request_done(struct client *client, uint16_t type, uint32_t serial)
{
	const struct vdp_plain done = {
		.header = { .type = type | VDP_ANSWER, .serial = serial },
	};

	return client_send(client, &done, sizeof(done), NULL, 0) ? HANDLED_DONE : HANDLED_LATER;
}

static void log_malformed(const struct client *client, const char *why)
{
	static struct log_limit limit;

	log_limited(&limit, LOG_WARNING, "malformed message of %s, pid %d, uid %u: %s",
		    client->name, client->who.pid, client->who.uid, why);
}

static enum handled hello(struct client *client, const struct vdp_hello *hello)
{
	struct vdp_hello_answer answer = {
		.header = { .type = VDP_HELLO | VDP_ANSWER, .serial = hello->header.serial },
		.version = VDP_VERSION,
		.admin = client->admin,
	};

	if (client->greeted)
		return request_error(client, hello->header.serial, VDP_ERROR_MALFORMED,
				     "there has been a hello already");
	if (hello->min_version > VDP_VERSION || hello->max_version < VDP_VERSION)
		return request_error(client, hello->header.serial, VDP_ERROR_VERSION,
				     "this broker speaks version %d only", VDP_VERSION);
	/* Who has this answer is connected, and stays so over a restart. */
	client_keep(client);
	if (!client_send(client, &answer, sizeof(answer), NULL, 0))
		return HANDLED_LATER;
	client_set_greeted(client);
	client->answered = hello->header.serial;
	escape(client->name, sizeof(client->name), hello->name, sizeof(hello->name));
	broker_save(client->broker);
	return HANDLED_DONE;
}

/* A lease of this client that has not ended, or whose end it has not heard of. */
static struct lease *own_lease(struct client *client, uint64_t id)
{
	struct lease *lease = lease_find(client->broker, id);

	return lease && lease->client == client ? lease : NULL;
}

static enum handled no_lease(struct client *client, uint32_t serial, uint64_t id)
{
	return request_error(client, serial, VDP_ERROR_NO_LEASE,
			     "there is no lease %" PRIu64 " of yours; it may have ended", id);
}

/*
 * These two wait until there is room for the answer, which follows the end of
 * the lease and so could not be given a second time.
 */
static enum handled release_lease(struct client *client, const struct vdp_lease_request *request)
{
	struct lease *lease = own_lease(client, request->lease);

	if (!lease || lease->end)
		return no_lease(client, request->header.serial, request->lease);
	if (!client_can_send(client))
		return HANDLED_LATER;
	lease_end(lease, VDP_END_RELEASED);
	return request_done(client, VDP_RELEASE, request->header.serial);
}

static enum handled revoke_lease(struct client *client, const struct vdp_lease_request *request)
{
	struct lease *lease = lease_find(client->broker, request->lease);

	if (!client->admin)
		return request_error(client, request->header.serial, VDP_ERROR_FORBIDDEN,
				     "only administrators revoke; see admin_users in the configuration");
	if (!lease || lease->end)
		return request_error(client, request->header.serial, VDP_ERROR_NO_LEASE,
				     "there is no lease %" PRIu64, request->lease);
	if (!client_can_send(client))
		return HANDLED_LATER;
	log_line(LOG_NOTICE, "lease %" PRIu64 ": %s, pid %d, uid %u revokes it", lease->id,
		 client->name, client->who.pid, client->who.uid);
	lease_end(lease, VDP_END_REVOKED);
	return request_done(client, VDP_REVOKE, request->header.serial);
}

static enum handled renew(struct client *client, const struct vdp_renew *request)
{
	struct lease *lease = own_lease(client, request->lease);
	const struct slice_config *slice;
	struct vdp_renew_answer answer = {
		.header = { .type = VDP_RENEW | VDP_ANSWER, .serial = request->header.serial },
	};

	if (!lease || lease->end)
		return no_lease(client, request->header.serial, request->lease);
	slice = config_find_slice(client->broker->config, lease->slice_name, NULL);
	if (slice->max_seconds && request->seconds > slice->max_seconds)
		return request_error(client, request->header.serial, VDP_ERROR_INVALID,
				     "%s is lent for %u seconds at most", slice->name, slice->max_seconds);
	answer.seconds = request->seconds ?: slice->max_seconds;
	if (!client_send(client, &answer, sizeof(answer), NULL, 0))
		return HANDLED_LATER;
	lease_set_time(lease, answer.seconds);
	broker_save(client->broker);
	return HANDLED_DONE;
}

static enum handled list(struct client *client, const struct vdp_header *header)
{
	if (header->type == VDP_LIST_DEVICES && !client->admin)
		return request_error(client, header->serial, VDP_ERROR_FORBIDDEN,
				     "only administrators see the devices; see admin_users in the configuration");
	client->list = (struct cursor){ .type = header->type, .serial = header->serial };
	return list_go_on(client) ? HANDLED_DONE : HANDLED_LATER;
}

enum handled request_handle(struct client *client, const void *data, size_t size,
			    bool with_fds)
{
	const union request *request = data;
	const char *why = NULL;
	int code = with_fds ? VDP_ERROR_MALFORMED : message_check(request, size, &why);

	if (with_fds)
		why = "a request has no fds";
	if (code == VDP_ERROR_MALFORMED) {
		log_malformed(client, why);
		return request_error(client, size >= sizeof(request->header) ? request->header.serial : 0,
				     VDP_ERROR_MALFORMED, "%s", why);
	}
	if (!client->greeted && request->header.type != VDP_HELLO) {
		log_malformed(client, "no hello");
		return request_error(client, request->header.serial, VDP_ERROR_NO_HELLO,
				     "the first message must be a hello");
	}
	if (code)
		return request_error(client, request->header.serial, VDP_ERROR_UNKNOWN, "%s", why);

	switch (request->header.type) {
	case VDP_HELLO:
		return hello(client, &request->hello);
	case VDP_ACQUIRE:
		return grant(client, &request->acquire);
	case VDP_RELEASE:
		return release_lease(client, &request->lease);
	case VDP_REVOKE:
		return revoke_lease(client, &request->lease);
	case VDP_RENEW:
		return renew(client, &request->renew);
	default:
		return list(client, &request->header);
	}
}
