/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/clock.h"
#include "core/client.h"
#include "protocol/encode.h"
#include "shell/journal.h"
#include "shell/reload.h"
#include "shell/requests.h"
#include "shell/shell.h"
#include "state/store.h"

static bool answer(struct shell *shell, uint64_t client, const struct packet *packet)
{
	return connections_reply(shell->connections, client, packet->body.bytes, packet->size);
}

static enum packet_outcome refuse(struct shell *shell, const struct request *request,
			  enum vdp_error_code code, const char *text)
{
	struct packet packet;

	encode_error(&packet, request->serial, code, "%s", text);
	answer(shell, request->client, &packet);
	return PACKET_DONE;
}

/* Sends as many messages of a list as there is room for. */
static enum packet_outcome go_on_with(struct shell *shell, uint64_t client, struct list *list)
{
	const struct view view = {
		.core = shell->core,
		.catalogue = core_catalogue(shell->core),
		.now = clock_now(),
		.problem = *shell->problem ? shell->problem : NULL,
		.explain = absences_explain,
		.shell = shell,
	};
	struct list before;
	struct packet packet;
	bool more;

	do {
		before = *list;
		more = list_next(list, &view, &packet);
		if (!answer(shell, client, &packet)) {
			*list = before;
			return PACKET_LATER;
		}
	} while (more);
	listings_remove(&shell->listings, client);
	return PACKET_DONE;
}

static enum packet_outcome begin_list(struct shell *shell, const struct request *request)
{
	struct list *list = listings_add(&shell->listings, request->client);

	if (!list)
		return refuse(shell, request, VDP_ERROR_MEMORY, "the broker has no memory left");
	list_begin(list, request);
	return go_on_with(shell, request->client, list);
}

static enum packet_outcome reload(struct shell *shell, const struct request *request)
{
	struct packet packet;

	if (!core_is_admin(shell->core, request->client))
		return refuse(shell, request, VDP_ERROR_FORBIDDEN,
			      "only administrators can reload the configuration; ask one, or have its setting \"admins\" name you");
	switch (reload_ask(shell, request->client)) {
	case RELOAD_LATER:
		return PACKET_LATER;
	case RELOAD_NO_MEMORY:
		return refuse(shell, request, VDP_ERROR_MEMORY, "the broker has no memory left");
	case RELOAD_REJECTED:
		return refuse(shell, request, VDP_ERROR_CONFIGURATION, shell->problem);
	case RELOAD_DONE:
		break;
	}
	encode_reloaded(&packet, request->serial);
	answer(shell, request->client, &packet);
	return PACKET_DONE;
}

/*
 * Puts a client into the fd store before it is greeted.  False: the service manager has no
 * room for the message now, and the loop does not wait for that.
 */
static bool keep(struct shell *shell, const struct client *client)
{
	if (client->greeted ||
	    !store_put_client(client->r.id, connections_fd(shell->connections, client->r.id)))
		return true;
	if (errno == EAGAIN) {
		shell->unsent = true;
		return false;
	}
	journal_line(LOG_WARNING, "client %llu cannot be put into the fd store: %m; a restart will disconnect it",
		     (unsigned long long)client->r.id);
	return true;
}

/* A request that adds a record needs memory of the state before it has any effect. */
static enum packet_outcome ask_core(struct shell *shell, const struct client *client,
				    const struct request *request)
{
	enum event_type type = request->event.type;

	if ((type == EVENT_HELLO || type == EVENT_ACQUIRE) &&
	    state_reserve(shell->state, 1 + shell_new_records(shell)))
		return refuse(shell, request, VDP_ERROR_MEMORY, "the broker has no memory left");
	if (type == EVENT_HELLO && !keep(shell, client))
		return PACKET_LATER;
	shell->request = request;
	shell_handle(shell, &request->event);
	shell->request = NULL;
	return PACKET_DONE;
}

enum packet_outcome requests_on_packet(void *data, uint64_t id, const void *bytes, size_t size, bool fds)
{
	struct shell *shell = data;
	struct list *list = listings_find(&shell->listings, id);
	const struct client *client = core_find_client(shell->core, id);
	struct request request;

	if (list)
		return go_on_with(shell, id, list);
	if (!client)
		return PACKET_DROP;
	if (fds)
		decode_with_fds(&request, id, bytes, size);
	else
		decode(&request, id, client->greeted, bytes, size);
	switch (request.kind) {
	case REQUEST_FOR_CORE:
		return ask_core(shell, client, &request);
	case REQUEST_LIST:
		return begin_list(shell, &request);
	case REQUEST_RELOAD:
		return reload(shell, &request);
	case REQUEST_WRONG:
		break;
	}
	answer(shell, id, &request.error);
	return request.closes ? PACKET_DROP : PACKET_DONE;
}
