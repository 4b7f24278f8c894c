/* SPDX-License-Identifier: MIT */
/* The whole: start, reload, end, and what is written down of it. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"
#include "privileges.h"
#include "store.h"

static void config_error(const char *line)
{
	log_line(LOG_ERR, "%s", line);
}

static void record_client(struct state_client *record, const struct client *client)
{
	*record = (struct state_client){
		.cookie = client->cookie,
		.greeted = client->greeted,
		.answered = client->answered,
	};
	strcpy(record->name, client->name);
}

static void record_lease(struct state_lease *record, const struct lease *lease)
{
	*record = (struct state_lease){
		.id = lease->id,
		.client = lease->client ? lease->client->cookie : 0,
		.expires = lease->expires,
		.offset = lease->offset,
		.length = lease->length,
		.bar = lease->bar,
		.index = lease->index,
		.flags = lease->flags,
		.phase = lease->phase,
		.serial = lease->serial,
		.state = lease->state,
		.end = lease->end,
		.tell = lease->tell,
		.hooks = lease->hooks,
	};
	if (lease->device)
		strcpy(record->bdf, lease->device->bdf);
	strcpy(record->slice, lease->slice_name);
}

/* Of the leases that have ended those whose clients have not been told are kept. */
void broker_save(struct broker *broker)
{
	struct state_data *data = &broker->state->data;

	data->next_id = broker->next_id;
	data->nr_clients = 0;
	data->nr_leases = 0;
	for (const struct client *client = broker->clients; client; client = client->next)
		if (data->nr_clients < STATE_MAX_CLIENTS)
			record_client(&data->clients[data->nr_clients++], client);
	for (const struct lease *lease = broker->leases; lease; lease = lease->next)
		if ((!lease->end || lease->tell) && data->nr_leases < STATE_MAX_LEASES)
			record_lease(&data->leases[data->nr_leases++], lease);
	state_save(broker->state);
}

int broker_start(struct broker *broker)
{
	broker->config = config_read(broker->config_file, broker->config_dir, config_error);
	if (!broker->config)
		return -1;
	if (restore(broker) || devices_open(broker) || clients_listen(broker))
		return -1;
	if (broker->config->user[0] && privileges_drop(broker->config->user))
		return -1;
	broker_save(broker);
	log_line(LOG_INFO, "ready: %u of %zu devices", devices_count_open(broker),
		 broker->config->nr_devices);
	sd_notifyf(0, "READY=1\nSTATUS=Lending slices of %u of %zu devices",
		   devices_count_open(broker), broker->config->nr_devices);
	return 0;
}

static void notify_reloading(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   t.tv_sec * 1000000ULL + t.tv_nsec / 1000);
}

void broker_reload(struct broker *broker)
{
	struct config *config, *former = broker->config;

	notify_reloading();
	config = config_read(broker->config_file, broker->config_dir, config_error);
	if (!config || !devices_fit(broker, config)) {
		config_free(config);
		log_line(LOG_ERR, "the configuration stays as it was");
		sd_notify(0, "READY=1");
		return;
	}
	broker->config = config;
	for (struct client *client = broker->clients; client; client = client->next) {
		client->admin = client->who.uid == 0 || policy_allows(&config->admins, &client->who);
		/* Positions in the old one mean nothing now: begin the list anew. */
		client->list.next = 0;
	}
	leases_end_forbidden(broker);
	devices_reload(broker);
	config_free(former);
	broker_save(broker);
	log_line(LOG_INFO, "the configuration is read");
	sd_notify(0, "READY=1");
}

/*
 * With a store everything stays as it is, for the next process.  Without one
 * it all ends here, in order.
 */
void broker_end(struct broker *broker)
{
	sd_notify(0, "STOPPING=1");
	if (broker->listening >= 0 && broker->socket_path)
		unlink(broker->socket_path);
	if (store_exists()) {
		clients_keep(broker);
		return;
	}
	while (broker->clients)
		client_drop(broker->clients, "the broker ends");
	for (struct device *device = broker->devices; device; device = device->next)
		device_close(device);
}
