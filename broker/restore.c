/* SPDX-License-Identifier: MIT */
/*
 * Taking over what a former process has left in the service manager's store.
 *
 * Every fd there is found again in the state or taken back: a lease that the
 * state does not have is revoked, one that was being granted as well, and a
 * device of which a lease cannot be revoked any more is closed, which revokes
 * them all; without the state, all devices are.  What is in doubt is ended, never
 * lent on.
 *
 * This may be killed as well.  All records become leases before the first one is
 * looked at closely, so what is saved meanwhile has those that are yet to come.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"
#include "store.h"

struct stored {
	int nr;
	char **names;
	int *fds;	/* -1: taken */
};

static int take(struct stored *stored, const char *name)
{
	for (int i = 0; i < stored->nr; i++) {
		int fd = stored->fds[i];

		if (fd < 0 || strcmp(stored->names[i], name))
			continue;
		stored->fds[i] = -1;
		return fd;
	}
	return -1;
}

static int get_stored(struct stored *stored)
{
	stored->nr = sd_listen_fds_with_names(1, &stored->names);
	if (stored->nr < 0) {
		log_line(LOG_ERR, "the service manager's fds: %s", strerror(-stored->nr));
		return -1;
	}
	stored->fds = calloc(stored->nr + 1, sizeof(int));
	if (!stored->fds)
		return -1;
	for (int i = 0; i < stored->nr; i++)
		stored->fds[i] = SD_LISTEN_FDS_START + i;
	return 0;
}

static void take_listening(struct broker *broker, struct stored *stored)
{
	for (int i = 0; i < stored->nr; i++) {
		if (sd_is_socket_unix(stored->fds[i], SOCK_SEQPACKET, 1, NULL, 0) <= 0)
			continue;
		broker->listening = stored->fds[i];
		broker->socket_path = NULL;
		stored->fds[i] = -1;
	}
}

/*
 * Without its state nobody knows what a former process has lent, and not all of
 * it need be in the store.
 */
static void close_devices(struct stored *stored)
{
	for (int i = 0; i < stored->nr; i++) {
		if (stored->fds[i] < 0 || !store_is_device(stored->names[i]))
			continue;
		close(stored->fds[i]);
		stored->fds[i] = -1;
		store_remove_now(stored->names[i]);
	}
}

static int take_state(struct broker *broker, struct stored *stored)
{
	int fd = take(stored, STORE_NAME_OF_STATE);

	if (fd >= 0) {
		broker->state = state_load(fd);
		if (!broker->state) {
			log_line(LOG_ERR, "the state that was left is damaged or another version's: all leases end");
			close(fd);
		}
	}
	if (!broker->state) {
		/* First, or whoever comes next would trust the new state. */
		close_devices(stored);
		store_remove(STORE_NAME_OF_STATE);
		broker->state = state_new();
		if (!broker->state)
			return -1;
		store_put(STORE_NAME_OF_STATE, broker->state->fd);
	}
	broker->next_id = broker->state->data.next_id;
	return 0;
}

static void take_clients(struct broker *broker, const struct state_data *data,
			 struct stored *stored)
{
	for (uint32_t i = 0; i < data->nr_clients; i++) {
		const struct state_client *record = &data->clients[i];
		int fd = take(stored, store_name_of_client(record->cookie));
		struct client *client = fd >= 0 ? client_add(broker, fd) : NULL;

		if (!client) {
			store_remove(store_name_of_client(record->cookie));
			continue;
		}
		client->stored = true;
		if (record->greeted)
			client_set_greeted(client);
		client->answered = record->answered;
		snprintf(client->name, sizeof(client->name), "%s", record->name);
	}
}

static bool all_leases_stored(const struct state_data *data, const char *bdf,
			      const struct stored *stored)
{
	for (uint32_t i = 0; i < data->nr_leases; i++) {
		const char *name = store_name_of_lease(data->leases[i].id);
		bool found = false;

		/* One that was not sent may not have come so far: nobody has it. */
		if (strcmp(data->leases[i].bdf, bdf) || data->leases[i].end ||
		    data->leases[i].phase == LEASE_GRANTING)
			continue;
		for (int j = 0; j < stored->nr; j++)
			found |= stored->fds[j] >= 0 && !strcmp(stored->names[j], name);
		if (!found)
			return false;
	}
	return true;
}

static void take_devices(struct broker *broker, const struct state_data *data,
			 struct stored *stored)
{
	for (size_t i = 0; i < broker->config->nr_devices; i++) {
		const struct device_config *config = &broker->config->devices[i];
		struct device *device = device_add(broker, config);
		int fd = take(stored, store_name_of_device(config->bdf));

		if (fd < 0 || !device)
			continue;
		if (!all_leases_stored(data, config->bdf, stored)) {
			log_line(LOG_ERR, "device %s: a lease is not in the store; all of them end", config->name);
			close(fd);
			store_remove_now(store_name_of_device(config->bdf));
			continue;
		}
		device_open(device, fd);
	}
}

static bool lies_in_socket(const struct client *client, uint32_t serial)
{
	struct vdp_header header;

	return recv(client->fd, &header, sizeof(header), MSG_PEEK | MSG_DONTWAIT) == sizeof(header) &&
	       header.serial == serial;
}

static void take_out_answered(struct client *client)
{
	char byte;

	if (client->answered && lies_in_socket(client, client->answered))
		recv(client->fd, &byte, 1, MSG_DONTWAIT);
	client->answered = 0;
}

/*
 * The request that was being granted still lies in the socket.  Its client may
 * have the answer or not.  If not, this is the answer; if so, it drops this, and
 * is told by an event that the lease has ended.
 */
static void answer_interrupted(struct client *client, uint32_t serial)
{
	if (!lies_in_socket(client, serial) ||
	    request_error(client, serial, VDP_ERROR_INTERNAL,
			  "the broker was restarted meanwhile; ask again") != HANDLED_DONE)
		return;
	client->answered = serial;
	take_out_answered(client);
}

static struct lease *lease_of(struct broker *broker, const struct state_lease *record)
{
	struct lease *lease = lease_new(broker, record->id);

	if (!lease)
		return NULL;
	lease->client = client_find(broker, record->client);
	lease->device = device_find(broker, record->bdf);
	snprintf(lease->slice_name, sizeof(lease->slice_name), "%s", record->slice);
	lease->bar = record->bar;
	lease->flags = record->flags;
	lease->offset = record->offset;
	lease->length = record->length;
	lease->index = record->index;
	lease->hooks = record->hooks;
	lease->expires = record->expires;
	lease->phase = (enum lease_phase)record->phase;
	lease->serial = record->serial;
	lease->state = (enum vdp_state)record->state;
	lease->end = (enum vdp_end)record->end;
	lease->tell = record->tell;
	return lease;
}

/* Whether it can go on; if not, why not. */
static enum vdp_end resume(struct lease *lease, int fd)
{
	enum vdp_state state;

	if (fd < 0 && lease->phase == LEASE_GRANTING)
		return VDP_END_BROKER;
	if (!lease->device || !lease->device->vdb || fd < 0) {
		if (fd >= 0)
			close(fd);
		return VDP_END_DEVICE;
	}
	lease->slice = vdb_slice_from_fd(fd, -1, NULL, lease->bar, lease->offset,
					 lease->flags & (VDP_READ_ONLY | VDP_WC));
	if (!lease->slice) {
		close(fd);
		return VDP_END_DEVICE;
	}
	if (vdb_slice_watch(lease->device->vdb, lease->slice))
		return VDP_END_DEVICE;
	if (!lease->client)
		return VDP_END_CLIENT;
	if (lease->phase != LEASE_GRANTED)
		return VDP_END_BROKER;
	state = (enum vdp_state)vdb_slice_state(lease->slice, NULL);
	/* Its end had begun. */
	if (state == VDP_STATE_REVOKED)
		return VDP_END_REVOKED;
	/* To have asked is to have been told: there will be no event of that. */
	if (state != lease->state) {
		lease->state = state;
		lease->tell = true;
	}
	return lease_start(lease) ? VDP_END_DEVICE : VDP_END_NONE;
}

/* Of one whose slice is revoked there is nothing left but to say so. */
static void tell_end(struct lease *lease, enum vdp_end end)
{
	lease->end = end;
	lease->state = VDP_STATE_REVOKED;
	lease->tell = lease->client;
	store_remove(store_name_of_lease(lease->id));
	if (lease->client)
		client_wake(lease->client);
	else
		lease_forget(lease);
}

static void take_lease(struct lease *lease, int fd)
{
	enum vdp_end end;

	if (lease->end) {
		if (fd >= 0)
			close(fd);
		tell_end(lease, lease->end);
		return;
	}
	end = resume(lease, fd);
	if (lease->phase != LEASE_GRANTED && lease->client)
		answer_interrupted(lease->client, lease->serial);
	if (!end) {
		log_line(LOG_INFO, "lease %" PRIu64 " of %s[%u] goes on", lease->id,
			 lease->slice_name, lease->index);
		if (lease->tell)
			client_wake(lease->client);
	} else if (!lease->slice) {
		/* There is nothing to take back: nobody has had it, or its device is closed, or was. */
		log_line(LOG_NOTICE, "lease %" PRIu64 " of %s[%u] is lost%s", lease->id, lease->slice_name,
			 lease->index, end == VDP_END_DEVICE ? " with its device" : "");
		tell_end(lease, end);
	} else {
		lease_end(lease, end);
	}
}

static void take_leases(struct broker *broker, const struct state_data *data,
			struct stored *stored)
{
	/* From the back, as new ones are put in front. */
	for (uint32_t i = data->nr_leases; i--; )
		if (!lease_of(broker, &data->leases[i]))
			abort();	/* at the start, with next to nothing allocated */
	for (uint32_t i = 0; i < data->nr_leases; i++) {
		uint64_t id = data->leases[i].id;

		take_lease(lease_find(broker, id), take(stored, store_name_of_lease(id)));
	}
}

/* Revokes a slice that nothing is known of, through whatever device it is of. */
static void take_back_unknown(struct broker *broker, int fd)
{
	for (struct device *device = broker->devices; device; device = device->next) {
		struct vdb_slice *slice;
		int ret, copy = dup(fd);

		if (!device->vdb || copy < 0) {
			if (copy >= 0)
				close(copy);
			continue;
		}
		slice = vdb_slice_from_fd(copy, -1, NULL, 0, 0, 0) ?:
			vdb_slice_from_fd(copy, -1, NULL, 0, 0, VDB_READ_ONLY);
		if (!slice) {
			close(copy);
			return;
		}
		ret = device_revoke(device, slice);
		vdb_slice_free(slice);
		if (!ret)
			return;
	}
}

static void clean_up(struct broker *broker, struct stored *stored)
{
	for (int i = 0; i < stored->nr; i++) {
		if (stored->fds[i] >= 0) {
			log_line(LOG_NOTICE, "%s, left in the store, is taken back", stored->names[i]);
			take_back_unknown(broker, stored->fds[i]);
			if (sd_is_socket(stored->fds[i], AF_UNIX, 0, 0) > 0)
				shutdown(stored->fds[i], SHUT_RDWR);
			close(stored->fds[i]);
			store_remove(stored->names[i]);
		}
		free(stored->names[i]);
	}
	free(stored->names);
	free(stored->fds);
}

int restore(struct broker *broker)
{
	struct state_data *data;
	struct stored stored;

	if (get_stored(&stored))
		return -1;
	take_listening(broker, &stored);
	if (take_state(broker, &stored))
		return -1;
	/* A copy: what follows saves the state while it is being read. */
	data = malloc(sizeof(*data));
	if (!data)
		return -1;
	*data = broker->state->data;
	take_devices(broker, data, &stored);
	/* Before anything is done to the leases: a better one may follow. */
	if (!devices_fit(broker, broker->config))
		return -1;
	take_clients(broker, data, &stored);
	take_leases(broker, data, &stored);
	free(data);
	for (struct client *client = broker->clients; client; client = client->next)
		take_out_answered(client);
	leases_end_forbidden(broker);
	clean_up(broker, &stored);
	broker_save(broker);
	return 0;
}
