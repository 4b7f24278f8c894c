// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fds.h"
#include "core/client.h"
#include "core/core.h"
#include "core/device.h"
#include "protocol/decode.h"
#include "protocol/encode.h"
#include "protocol/list.h"
#include "shell.h"
#include "suite.h"

#define MAX_CONNECTIONS	16
#define MAX_EVENTS	64

_Atomic uid_t shell_uid;
_Atomic bool shell_fails_to_send;

struct connection {
	uint64_t id;
	int fd;			/* -1: none */
	struct identity who;
};

static struct {
	struct core *core;
	const struct catalogue *catalogue;
	const char *problem;
	pthread_t thread;
	int listening, orders[2], file;
	struct connection connections[MAX_CONNECTIONS];
	uint64_t last_id, last_buffer;
	uint64_t time;			/* of the timer */
	const struct event *request;	/* being handled */
	struct event events[MAX_EVENTS];	/* what follows from effects */
	size_t first, end;
} shell;

static void later(struct event event)
{
	shell.events[shell.end++ % MAX_EVENTS] = event;
	ck_assert_uint_le(shell.end - shell.first, MAX_EVENTS);
}

static struct connection *connection_of(uint64_t id)
{
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (shell.connections[i].id == id && shell.connections[i].fd >= 0)
			return &shell.connections[i];
	return NULL;
}

static void transmit(const struct packet *packet, uint64_t client)
{
	struct connection *connection = connection_of(client);
	int fds[] = { shell.file, shell.file, -1, -1 };

	if (packet->nr_fds > 2) {
		fds[2] = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		ck_assert_works(ftruncate(fds[2], packet->body.grant.memory));
		ck_assert_works(fcntl(fds[2], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	}
	if (packet->nr_fds > 3)
		fds[3] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (connection)
		fds_send(connection->fd, packet->body.bytes, packet->size, fds, packet->nr_fds, 0);
	fds_close(fds + 2, 2);
}

static void on_effect(void *unused, const struct effect *effect)
{
	struct packet packet;

	(void)unused;
	switch (effect->type) {
	case EFFECT_REPLY:
		encode_reply(&packet, effect, shell.request, core_is_admin(shell.core, effect->client));
		transmit(&packet, effect->client);
		break;
	case EFFECT_SEND:
		encode_send(&packet, effect);
		if (packet.nr_fds && atomic_exchange(&shell_fails_to_send, false)) {
			later((struct event){ .type = EVENT_SENT, .client = effect->client });
			break;
		}
		transmit(&packet, effect->client);
		later((struct event){ .type = EVENT_SENT, .client = effect->client, .ok = true });
		break;
	case EFFECT_OPEN:
		later((struct event){ .type = EVENT_OPENED, .device = effect->device, .fresh = true,
				      .ok = !strcmp(effect->bdf, SHELL_BDF) });
		break;
	case EFFECT_PREPARE:
		later((struct event){ .type = EVENT_PREPARED, .device = effect->device, .ok = true });
		break;
	case EFFECT_EXPORT:
		later((struct event){ .type = EVENT_EXPORTED, .device = effect->device, .ok = true,
				      .lease = effect->lease, .buffer = ++shell.last_buffer,
				      .iova = 0x10000 });
		break;
	case EFFECT_REVOKE:
		later((struct event){ .type = EVENT_REVOKED, .device = effect->device, .ok = true,
				      .lease = effect->lease, .buffer = effect->buffer });
		break;
	case EFFECT_ACT:
		later((struct event){ .type = EVENT_ACTED, .device = effect->device, .ok = true,
				      .lease = effect->lease });
		break;
	case EFFECT_UNMAP:
		later((struct event){ .type = EVENT_UNMAPPED, .device = effect->device, .ok = true,
				      .lease = effect->lease });
		break;
	case EFFECT_CLOSE:
		later((struct event){ .type = EVENT_CLOSED, .device = effect->device });
		break;
	case EFFECT_TIMER:
		shell.time = effect->time;
		break;
	default:
		break;
	}
}

static void handle(const struct event *event)
{
	core_handle(shell.core, clock_now(), event);
	while (shell.first != shell.end) {
		struct event next = shell.events[shell.first++ % MAX_EVENTS];

		core_handle(shell.core, clock_now(), &next);
	}
}

static void accept_one(void)
{
	struct connection *connection = shell.connections;

	while (connection->fd >= 0)
		connection++;
	connection->fd = accept(shell.listening, NULL, NULL);
	connection->id = ++shell.last_id;
	connection->who = (struct identity){ .pid = 77, .uid = shell_uid, .gid = 88 };
	handle(&(struct event){ .type = EVENT_CONNECT, .client = connection->id,
				.user = connection->who.uid, .who = &connection->who });
}

static bool is_greeted(uint64_t id)
{
	const struct client *client;

	for (size_t i = 0; (client = core_client(shell.core, i)); i++)
		if (client->r.id == id)
			return client->greeted;
	return false;
}

static void answer_list(const struct request *request)
{
	struct view view = {
		.core = shell.core, .catalogue = shell.catalogue, .now = clock_now(), .problem = shell.problem,
	};
	struct packet packet;
	struct list list;
	bool more;

	list_begin(&list, request);
	do {
		more = list_next(&list, &view, &packet);
		transmit(&packet, request->client);
	} while (more);
}

static void hang_up(struct connection *connection)
{
	close(connection->fd);
	connection->fd = -1;
	handle(&(struct event){ .type = EVENT_GONE, .client = connection->id });
}

static void read_one(struct connection *connection)
{
	char bytes[VDP_MAX_MESSAGE];
	struct request request;
	ssize_t size = recv(connection->fd, bytes, sizeof(bytes), MSG_TRUNC);

	if (size <= 0) {
		hang_up(connection);
		return;
	}
	decode(&request, connection->id, is_greeted(connection->id), bytes, size);
	switch (request.kind) {
	case REQUEST_FOR_CORE:
		shell.request = &request.event;
		handle(&request.event);
		shell.request = NULL;
		break;
	case REQUEST_LIST:
		answer_list(&request);
		break;
	case REQUEST_RELOAD:
		encode_reloaded(&request.error, request.serial);
		transmit(&request.error, connection->id);
		break;
	case REQUEST_WRONG:
		transmit(&request.error, connection->id);
		if (request.closes)
			hang_up(connection);
		break;
	}
}

static int time_left(void)
{
	uint64_t time = clock_now();

	if (!shell.time)
		return -1;
	return shell.time > time ? (shell.time - time + 999) / 1000 : 0;
}

static uint32_t number_of_device(void)
{
	const struct device *device;

	for (size_t i = 0; (device = core_device(shell.core, i)); i++)
		if (!strcmp(device->r.bdf, SHELL_BDF))
			return device->number;
	return UINT32_MAX;
}

static void *run(void *unused)
{
	(void)unused;
	for (;;) {
		struct pollfd polls[MAX_CONNECTIONS + 2] = {
			{ .fd = shell.listening, .events = POLLIN }, { .fd = shell.orders[0], .events = POLLIN },
		};
		struct event event;

		for (int i = 0; i < MAX_CONNECTIONS; i++)
			polls[i + 2] = (struct pollfd){ .fd = shell.connections[i].fd, .events = POLLIN };
		poll(polls, MAX_CONNECTIONS + 2, time_left());
		if (!time_left()) {
			shell.time = 0;
			handle(&(struct event){ .type = EVENT_TIME });
		}
		if (polls[1].revents) {
			if (read(shell.orders[0], &event, sizeof(event)) != sizeof(event))
				return NULL;
			event.device = number_of_device();
			handle(&event);
		}
		for (int i = 0; i < MAX_CONNECTIONS; i++)
			if (polls[i + 2].revents)
				read_one(&shell.connections[i]);
		if (polls[0].revents)
			accept_one();
	}
}

void shell_start(const char *path, const struct catalogue *catalogue, const char *problem)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memset(&shell, 0, sizeof(shell));
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		shell.connections[i].fd = -1;
	shell.catalogue = catalogue;
	shell.problem = problem;
	shell.file = memfd_create("no DMABUF", MFD_CLOEXEC);
	ck_assert_works(ftruncate(shell.file, 4096));
	ck_assert_works(pipe(shell.orders));
	strcpy(address.sun_path, path);
	unlink(path);
	shell.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_works(bind(shell.listening, (void *)&address, sizeof(address)));
	ck_assert_works(listen(shell.listening, 8));
	shell.core = core_new(catalogue, on_effect, NULL);
	ck_assert_ptr_nonnull(shell.core);
	ck_assert_works(core_restore(shell.core, clock_now(), &(struct restored){ 0 }));
	while (shell.first != shell.end) {
		struct event next = shell.events[shell.first++ % MAX_EVENTS];

		core_handle(shell.core, clock_now(), &next);
	}
	ck_assert_int_eq(pthread_create(&shell.thread, NULL, run, NULL), 0);
}

void shell_stop(void)
{
	close(shell.orders[1]);
	pthread_join(shell.thread, NULL);
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (shell.connections[i].fd >= 0)
			close(shell.connections[i].fd);
	close(shell.orders[0]);
	close(shell.listening);
	close(shell.file);
	core_free(shell.core);
}

void shell_event(const struct event *event)
{
	ck_assert_int_eq(write(shell.orders[1], event, sizeof(*event)), sizeof(*event));
}
