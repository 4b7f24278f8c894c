/* SPDX-License-Identifier: MIT */
/*
 * Lending a slice.
 *
 * The order keeps a crash at any point from lending one slice twice: before
 * the client has the fd, the store has it and the state says "sent", so whoever
 * starts next can revoke it, or sees that the store has not kept it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"
#include "store.h"

/* The slice that is asked for, if this client may have it. */
static const struct slice_config *find_allowed(struct client *client, const char *name,
					       struct device **device)
{
	struct device_config *config;
	const struct slice_config *slice =
		config_find_slice(client->broker->config, name, &config);

	if (!slice || !policy_allows(&slice->rule, &client->who))
		return NULL;
	*device = device_find(client->broker, config->bdf);
	return slice;
}

static bool is_free(struct client *client, const struct device *device,
		    const struct slice_config *slice, uint32_t index)
{
	return !lease_conflict(client->broker, device, slice->bar,
			       slice->offset + index * slice->length, slice->length,
			       slice->exclusive);
}

/* The index to lend, or -1 if there is none. */
static int64_t choose_index(struct client *client, const struct device *device,
			    const struct slice_config *slice, uint32_t wanted)
{
	if (wanted != VDP_ANY_INDEX)
		return is_free(client, device, slice, wanted) ? (int64_t)wanted : -1;
	for (uint32_t i = 0; i < slice->count; i++)
		if (is_free(client, device, slice, i))
			return i;
	return -1;
}

static unsigned int count_leases(struct client *client, bool of_user)
{
	unsigned int count = 0;

	for (const struct lease *lease = client->broker->leases; lease; lease = lease->next)
		if (lease->client == client ||
		    (of_user && lease->client && lease->client->who.uid == client->who.uid))
			count++;
	return count;
}

static unsigned int count_all(const struct broker *broker)
{
	unsigned int count = 0;

	for (const struct lease *lease = broker->leases; lease; lease = lease->next)
		count++;
	return count;
}

/* Exports it, with a second event fd for the client; -1 with errno. */
static int export(struct lease *lease, int *client_events)
{
	const struct vdb_range range = { lease->offset, lease->length };
	struct vdb_device *vdb = lease->device->vdb;

	lease->slice = vdb_slice_export(vdb, lease->bar, &range, 1,
					lease->flags & (VDP_READ_ONLY | VDP_WC));
	if (!lease->slice || vdb_slice_watch(vdb, lease->slice))
		return -1;
	*client_events = dup(vdb_slice_event_fd(lease->slice));
	if (*client_events < 0)
		return -1;
	/* Replaces ours: the one that was made first is the client's alone. */
	if (vdb_slice_watch(vdb, lease->slice) || lease_start(lease)) {
		close(*client_events);
		return -1;
	}
	return 0;
}

static struct lease *prepare(struct client *client, const struct vdp_acquire *request,
			     const struct slice_config *slice, struct device *device,
			     uint32_t index, uint32_t seconds)
{
	struct lease *lease = lease_new(client->broker, client->broker->next_id++);

	if (!lease)
		return NULL;
	lease->client = client;
	lease->device = device;
	strcpy(lease->slice_name, slice->name);
	lease->bar = slice->bar;
	lease->flags = slice->flags | (request->flags & VDP_READ_ONLY) |
		       (slice->exclusive ? VDP_EXCLUSIVE : 0);
	lease->offset = slice->offset + index * slice->length;
	lease->length = slice->length;
	lease->index = index;
	lease->hooks = slice->hooks;
	lease->serial = request->header.serial;
	lease->phase = LEASE_GRANTING;
	lease_set_time(lease, seconds);
	return lease;
}

/* Takes back what the client never had. */
static void undo(struct lease *lease)
{
	if (lease->slice)
		device_revoke(lease->device, lease->slice);
	store_remove(store_name_of_lease(lease->id));
	lease->end = VDP_END_CLIENT;
	broker_save(lease->broker);
	lease_forget(lease);
}

static bool send_answer(struct lease *lease, int client_events)
{
	struct vdp_acquire_answer answer = {
		.header = { .type = VDP_ACQUIRE | VDP_ANSWER, .serial = lease->serial },
		.lease = lease->id,
		.offset = lease->offset,
		.length = lease->length,
		.bar = lease->bar,
		.flags = lease->flags,
		.index = lease->index,
		.seconds = lease_seconds_left(lease),
	};
	int fds[] = { vdb_slice_fd(lease->slice), client_events };

	memcpy(answer.bdf, lease->device->bdf, sizeof(answer.bdf));
	return client_send(lease->client, &answer, sizeof(answer), fds, 2);
}

static enum handled lend(struct lease *lease)
{
	struct client *client = lease->client;
	uint32_t serial = lease->serial;
	int client_events, error;
	bool sent;

	if (export(lease, &client_events)) {
		error = errno;
		log_line(LOG_ERR, "%s[%u] cannot be exported: %s", lease->slice_name,
			 lease->index, strerror(error));
		undo(lease);
		return request_error(client, serial, VDP_ERROR_INTERNAL,
				     "the slice cannot be exported: %s", strerror(error));
	}
	broker_save(client->broker);
	if (!store_put(store_name_of_lease(lease->id), vdb_slice_fd(lease->slice))) {
		close(client_events);
		undo(lease);
		return request_error(client, serial, VDP_ERROR_INTERNAL,
				     "the service manager does not keep the slice; see the broker's log");
	}
	lease->phase = LEASE_SENT;
	broker_save(client->broker);
	sent = send_answer(lease, client_events);
	error = errno;
	close(client_events);
	if (!sent) {
		undo(lease);
		if (client->lost || error == EAGAIN || error == EINTR)
			return HANDLED_LATER;
		/* Fds can be refused where plain answers are not. */
		return request_error(client, serial, VDP_ERROR_INTERNAL,
				     "the slice cannot be sent: %s; ask again", strerror(error));
	}
	lease->phase = LEASE_GRANTED;
	/* Or the next process would grant it once more. */
	client->answered = serial;
	broker_save(client->broker);
	log_line(LOG_NOTICE, "lease %" PRIu64 " of %s[%u] to %s, pid %d, uid %u%s", lease->id,
		 lease->slice_name, lease->index, client->name, client->who.pid,
		 client->who.uid, lease->flags & VDP_READ_ONLY ? ", read-only" : "");
	return HANDLED_DONE;
}

enum handled grant(struct client *client, const struct vdp_acquire *request)
{
	const struct config *config = client->broker->config;
	uint32_t serial = request->header.serial, seconds = request->seconds;
	struct device *device;
	const struct slice_config *slice = find_allowed(client, request->name, &device);
	struct lease *lease;
	int64_t index;

	if (!slice)
		return request_error(client, serial, VDP_ERROR_NO_SLICE,
				     "there is no such slice for you; list the slices to see which there are");
	if (!device || !device->vdb)
		return request_error(client, serial, VDP_ERROR_DEVICE,
				     "the device of %s is lost; the broker opens it when it is restarted",
				     slice->name);
	if (request->flags & ~VDP_READ_ONLY)
		return request_error(client, serial, VDP_ERROR_INVALID,
				     "flags has other bits than VDP_READ_ONLY");
	if (request->index != VDP_ANY_INDEX && request->index >= slice->count)
		return request_error(client, serial, VDP_ERROR_INVALID,
				     "%s has the indices 0 to %u", slice->name, slice->count - 1);
	if (slice->max_seconds && seconds > slice->max_seconds)
		return request_error(client, serial, VDP_ERROR_INVALID,
				     "%s is lent for %u seconds at most", slice->name, slice->max_seconds);
	if (count_leases(client, false) >= config->max_leases_per_client ||
	    count_leases(client, true) >= config->max_leases_per_user ||
	    count_all(client->broker) >= config->max_leases + (client->admin ? CONFIG_RESERVED : 0))
		return request_error(client, serial, VDP_ERROR_LIMIT,
				     "you have as many leases as you may, or there are as many as there may be; release one");
	index = choose_index(client, device, slice, request->index);
	if (index < 0)
		return request_error(client, serial, VDP_ERROR_BUSY, "%s is lent already", slice->name);
	/* Nothing is exported, and stored, for a client that has no room for the answer. */
	if (!client_can_send(client))
		return HANDLED_LATER;

	lease = prepare(client, request, slice, device, index, seconds ?: slice->max_seconds);
	if (!lease)
		return request_error(client, serial, VDP_ERROR_INTERNAL, "no memory");
	return lend(lease);
}
