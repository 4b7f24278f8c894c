/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "common/clock.h"
#include "common/fds.h"
#include "common/hole.h"
#include "connections/flow.h"
#include "connections/listener.h"
#include "shell/effects.h"
#include "shell/journal.h"
#include "shell/reload.h"
#include "shell/requests.h"
#include "shell/shell.h"
#include "shell/start.h"
#include "state/store.h"

/* What a former process has left. */
struct former {
	struct stored *stored;
	size_t nr;
	struct saved saved;
	struct restored_client *clients;
	size_t nr_clients;
	struct restored_device *devices;
	size_t nr_devices;
};

/* The fd store, for workers. */

static int put(void *data, const char *bdf, int fd)
{
	(void)data;
	return store_put_device(bdf, fd);
}

static int put_dma(void *data, const char *bdf, uint32_t ioas, int fd)
{
	(void)data;
	return store_put_dma(bdf, ioas, fd);
}

static int put_driver(void *data, const char *bdf, int fd)
{
	(void)data;
	return store_put_driver(bdf, fd);
}

/* The device first.  The rest is of no use without it, and the next process removes it. */
static int take_out(void *data, const char *bdf, uint32_t ioas)
{
	(void)data;
	return store_remove_device(bdf) || store_remove_dma(bdf, ioas) ||
	       store_remove_driver(bdf) || store_wait() ? -1 : 0;
}

static int put_memory(void *data, uint64_t lease, int fd)
{
	(void)data;
	return store_put_memory(lease, fd);
}

static int take_out_memory(void *data, uint64_t lease)
{
	(void)data;
	return store_remove_memory(lease);
}

/* Calls of connections. */

static void on_event(void *data, const struct event *event)
{
	struct shell *shell = data;

	if (event->type == EVENT_DROPPED || event->type == EVENT_GONE) {
		listings_remove(&shell->listings, event->client);
		reload_forget(&shell->reload, event->client);
	}
	shell_handle(shell, event);
}

static bool has_nothing(void *data, uint64_t client)
{
	const struct shell *shell = data;

	return core_has_nothing(shell->core, client);
}

static void on_log(void *data, const char *line)
{
	(void)data;
	journal_line(LOG_INFO, "%s", line);
}

static const struct connections_calls calls = {
	.event = on_event,
	.packet = requests_on_packet,
	.has_nothing = has_nothing,
	.log = on_log,
};

/* The state. */

static int new_state(struct shell *shell)
{
	shell->state = state_new();
	if (!shell->state)
		return -1;
	/* A later process must not find damaged ones. */
	if (store_remove_state() || store_put_state(state_fd(shell->state)))
		journal_line(LOG_ERR, "the state cannot be put into the fd store: %m; all leases will end with this process");
	return 0;
}

static int load_state(struct shell *shell, struct former *former)
{
	int *fds = calloc(former->nr + 1, sizeof(*fds));
	size_t nr = 0;

	if (!fds)
		return -1;
	for (size_t i = 0; i < former->nr; i++)
		if (former->stored[i].type == STORED_STATE)
			fds[nr++] = former->stored[i].fd;
	if (nr)
		shell->state = state_load_newest(fds, nr, &former->saved);
	free(fds);
	if (shell->state)
		return 0;
	if (nr)
		journal_line(LOG_ERR, "the state of the former process cannot be used: %m; all leases end");
	return new_state(shell);
}

/* Clients. */

static struct stored *find_client(struct former *former, uint64_t id)
{
	for (size_t i = 0; i < former->nr; i++)
		if (former->stored[i].type == STORED_CLIENT && former->stored[i].client == id)
			return &former->stored[i];
	return NULL;
}

static void forget_client(struct shell *shell, uint64_t id)
{
	const struct effect effect = { .type = EFFECT_FORGET_CLIENT, .client = id };

	effects_carry_out(shell, &effect);
}

/* Adopts clients that both the state and the store have. */
static int take_clients(struct shell *shell, struct former *former)
{
	former->clients = calloc(former->saved.nr_clients + 1, sizeof(*former->clients));
	if (!former->clients)
		return -1;
	for (size_t i = 0; i < former->saved.nr_clients; i++) {
		struct restored_client *client = &former->clients[former->nr_clients];
		struct stored *stored;

		client->record = former->saved.clients[i];
		stored = find_client(former, client->record.id);
		if (stored) {
			client->who = connections_adopt(shell->connections, stored->fd,
							client->record.id, &client->user);
			stored->fd = -1;
		}
		if (client->who)
			former->nr_clients++;
		else
			forget_client(shell, client->record.id);
	}
	return 0;
}

/* Devices. */

/* The memory that a lease has: it was mapped, and is not unmapped yet. */
static int take_memory(struct shell *shell, struct former *former, const struct lease_record *lease)
{
	struct stored *memory = NULL;

	for (size_t i = 0; i < former->nr; i++)
		if (former->stored[i].type == STORED_MEMORY && former->stored[i].lease == lease->id)
			memory = &former->stored[i];
	if (devices_adopt_memory(shell->devices, lease, memory ? memory->fd : -1))
		return -1;
	if (memory)
		memory->fd = -1;
	return 0;
}

static int take_memories(struct shell *shell, struct former *former, const char *bdf)
{
	for (size_t i = 0; i < former->saved.nr_leases; i++) {
		const struct lease_record *lease = &former->saved.leases[i];

		if (!strcmp(lease->bdf, bdf) && lease->iova && lease->phase != LEASE_ENDED &&
		    take_memory(shell, former, lease))
			return -1;
	}
	return 0;
}

/* What else of a device is in the store.  What is there twice is closed later. */
static int take_rest(struct shell *shell, struct former *former, const char *bdf)
{
	for (size_t i = 0; i < former->nr; i++) {
		struct stored *stored = &former->stored[i];

		if (stored->fd < 0 || strcmp(stored->bdf, bdf))
			continue;
		if ((stored->type == STORED_DMA &&
		     !devices_adopt_dma(shell->devices, bdf, stored->fd, stored->ioas)) ||
		    (stored->type == STORED_DRIVER &&
		     !devices_adopt_driver(shell->devices, bdf, stored->fd)))
			stored->fd = -1;
	}
	return take_memories(shell, former, bdf);
}

static void remove_one(struct stored *stored)
{
	if (stored->type == STORED_DMA)
		store_remove_dma(stored->bdf, stored->ioas);
	else if (stored->type == STORED_DRIVER)
		store_remove_driver(stored->bdf);
	else if (stored->type == STORED_MEMORY)
		store_remove_memory(stored->lease);
	else
		return;
	/* A client can keep it. */
	if (stored->type == STORED_MEMORY)
		hole_make(stored->fd);
	fds_close(&stored->fd, 1);
}

/* All of a device that is closed: its leases end. */
static void remove_rest(struct former *former, const char *bdf)
{
	for (size_t i = 0; i < former->nr; i++)
		if (former->stored[i].type != STORED_MEMORY && !strcmp(former->stored[i].bdf, bdf))
			remove_one(&former->stored[i]);
	for (size_t i = 0; i < former->saved.nr_leases; i++)
		if (former->saved.leases[i].iova && !strcmp(former->saved.leases[i].bdf, bdf))
			store_remove_memory(former->saved.leases[i].id);
}

/*
 * Removes from the store what belongs to no device and no lease.  The former process died
 * before it had stored the device, before the state had the lease's memory, or after it
 * had unmapped that.
 */
static void remove_unused(struct former *former)
{
	for (size_t i = 0; i < former->nr; i++)
		if (former->stored[i].fd >= 0)
			remove_one(&former->stored[i]);
}

static bool take_device(struct shell *shell, struct former *former, const char *bdf)
{
	for (size_t i = 0; i < former->nr; i++) {
		struct stored *stored = &former->stored[i];

		if (stored->type != STORED_DEVICE || strcmp(stored->bdf, bdf) || stored->fd < 0)
			continue;
		if (!take_rest(shell, former, bdf) && !devices_adopt(shell->devices, bdf, stored->fd)) {
			stored->fd = -1;
			return true;
		}
		journal_line(LOG_ERR, "%s: its stored fd cannot be used: %m; it is opened again, and its leases end", bdf);
		store_remove_device(bdf);
		remove_rest(former, bdf);
		return false;
	}
	return false;
}

static void add_device(struct shell *shell, struct former *former,
		       const struct device_record *record)
{
	former->devices[former->nr_devices++] = (struct restored_device){
		.record = *record,
		.stored = take_device(shell, former, record->bdf),
	};
}

static bool is_known(const struct former *former, const char *bdf)
{
	for (size_t i = 0; i < former->nr_devices; i++)
		if (!strcmp(former->devices[i].record.bdf, bdf))
			return true;
	return false;
}

/* Devices of the state, and others in the store, which count as not prepared. */
static int take_devices(struct shell *shell, struct former *former)
{
	former->devices = calloc(former->saved.nr_devices + former->nr + 1,
				 sizeof(*former->devices));
	if (!former->devices)
		return -1;
	for (size_t i = 0; i < former->saved.nr_devices; i++)
		add_device(shell, former, &former->saved.devices[i]);
	for (size_t i = 0; i < former->nr; i++) {
		struct device_record record = { .prepared = false };

		if (former->stored[i].type != STORED_DEVICE ||
		    is_known(former, former->stored[i].bdf))
			continue;
		strcpy(record.bdf, former->stored[i].bdf);
		add_device(shell, former, &record);
	}
	/* Now: names can be used again when devices are opened. */
	remove_unused(former);
	return 0;
}

/* The rest. */

/* Clients of any user can connect. Their rights are checked later. */
static int make_socket(const char *path)
{
	mode_t before = umask(0);
	int fd = listener_make_socket(path, SOCK_SEQPACKET);

	umask(before);
	return fd;
}

static int listen_at(struct shell *shell, struct former *former)
{
	int fd = -1;

	for (size_t i = 0; i < former->nr; i++)
		if (former->stored[i].type == STORED_OTHER && former->stored[i].fd >= 0 &&
		    sd_is_socket(former->stored[i].fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0) {
			fd = former->stored[i].fd;
			former->stored[i].fd = -1;
			break;
		}
	if (fd < 0)
		fd = make_socket(shell->socket_path);
	if (fd >= 0 && !connections_listen(shell->connections, fd))
		return 0;
	journal_line(LOG_ERR, "%s: cannot listen there: %m", shell->socket_path);
	return -1;
}

static int make_layers(struct shell *shell)
{
	struct flow_limits limits;

	shell->store = (struct devices_store){
		.put = put,
		.put_dma = put_dma,
		.put_driver = put_driver,
		.remove = take_out,
		.put_memory = put_memory,
		.remove_memory = take_out_memory,
	};
	if (reload_first(shell))
		return -1;
	reload_limits(&limits, shell->settings);
	shell->connections = connections_new(shell->epoll, &limits, &calls, shell);
	shell->devices = devices_new(&shell->store);
	shell->metrics = metrics_new(shell);
	if (shell->metrics && shell->settings)
		metrics_set(shell->metrics, &shell->settings->metrics);
	return shell->connections && shell->devices && shell->metrics ? 0 : -1;
}

static int restore(struct shell *shell, struct former *former)
{
	const struct catalogue *catalogue = shell->settings ? &shell->settings->catalogue : NULL;
	const struct restored restored = {
		.start = former->saved.start,
		.clients = former->clients,
		.nr_clients = former->nr_clients,
		.leases = former->saved.leases,
		.nr_leases = former->saved.nr_leases,
		.devices = former->devices,
		.nr_devices = former->nr_devices,
	};

	shell->core = core_new(catalogue, effects_carry_out, shell);
	if (!shell->core || devices_set_catalogue(shell->devices, catalogue) ||
	    state_reserve(shell->state, 1 + former->nr_devices + former->saved.nr_leases +
			  (catalogue ? catalogue->nr_devices : 0)))
		return -1;
	shell_tick(shell);
	return core_restore(shell->core, shell->now, &restored);
}

/* Closes what is not used. */
static void forget(struct former *former)
{
	for (size_t i = 0; i < former->nr; i++) {
		struct stored *stored = &former->stored[i];

		if (stored->fd < 0 || stored->type == STORED_STATE)
			continue;
		if (stored->type == STORED_CLIENT)
			store_remove_client(stored->client);
		close(stored->fd);
	}
	free(former->stored);
	free(former->clients);
	free(former->devices);
	saved_free(&former->saved);
}

int start(struct shell *shell)
{
	struct former former = { 0 };
	int nr = store_take_all(&former.stored);
	int ret = -1;

	if (nr < 0) {
		journal_line(LOG_ERR, "what the former process has left cannot be taken over: %m");
	} else {
		former.nr = nr;
		if (make_layers(shell) || load_state(shell, &former) ||
		    take_clients(shell, &former) || take_devices(shell, &former) ||
		    restore(shell, &former))
			journal_line(LOG_ERR, "the broker cannot start: %m");
		else
			ret = listen_at(shell, &former);
	}
	forget(&former);
	return ret;
}
