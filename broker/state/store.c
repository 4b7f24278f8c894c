/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "manager.h"
#include "store.h"

#define WAIT_USEC	(10 * 1000000ULL)
#define NAME_SIZE	64
#define STATE		"state"
#define CLIENT		"client-"
#define DEVICE		"device-"
#define DMA		"dma-"
#define DRIVER		"driver-"
#define MEMORY		"memory-"

/* Clients that are to be removed when the manager has room. */
static struct {
	uint64_t *clients;
	size_t nr, room;
} late;

bool store_exists(void)
{
	const char *max = getenv("FDSTORE");

	/* Managers since version 254 report how many fds they store. */
	return getenv("NOTIFY_SOCKET") && max && strcmp(max, "0");
}

/* @ret: the return value of sd_notify() and similar functions. */
static int result_of(int ret)
{
	if (ret > 0)
		return 0;
	errno = ret ? -ret : ENOTCONN;
	return -1;
}

#define MESSAGE_SIZE	(NAME_SIZE + 64)

/* Without FDPOLL=0, the manager would forget a client that disconnects before we know. */
static void write_put(char message[MESSAGE_SIZE], const char *name)
{
	snprintf(message, MESSAGE_SIZE, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
}

static void write_removal(char message[MESSAGE_SIZE], const char *name)
{
	snprintf(message, MESSAGE_SIZE, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

static int put(const char *name, int fd)
{
	char message[MESSAGE_SIZE];

	if (!store_exists())
		return 0;
	write_put(message, name);
	return result_of(sd_pid_notify_with_fds(0, 0, message, &fd, 1));
}

static int take_out(const char *name)
{
	char message[MESSAGE_SIZE];

	if (!store_exists())
		return 0;
	write_removal(message, name);
	return result_of(sd_notify(0, message));
}

static void name_client(char name[NAME_SIZE], uint64_t id)
{
	snprintf(name, NAME_SIZE, CLIENT "%" PRIu64, id);
}

static void name_memory(char name[NAME_SIZE], uint64_t lease)
{
	snprintf(name, NAME_SIZE, MEMORY "%" PRIu64, lease);
}

/* Names cannot contain the ':' of an address. */
static void replace_colons(char *name)
{
	for (; *name; name++)
		if (*name == ':')
			*name = '_';
}

static void name_device(char name[NAME_SIZE], const char *bdf)
{
	snprintf(name, NAME_SIZE, DEVICE "%s", bdf);
	replace_colons(name);
}

static void name_dma(char name[NAME_SIZE], const char *bdf, uint32_t ioas)
{
	snprintf(name, NAME_SIZE, DMA "%s-%" PRIu32, bdf, ioas);
	replace_colons(name);
}

static void name_driver(char name[NAME_SIZE], const char *bdf)
{
	snprintf(name, NAME_SIZE, DRIVER "%s", bdf);
	replace_colons(name);
}

int store_put_state(int fd)
{
	return put(STATE, fd);
}

int store_put_client(uint64_t id, int fd)
{
	char name[NAME_SIZE], message[MESSAGE_SIZE];

	if (!store_exists())
		return 0;
	name_client(name, id);
	write_put(message, name);
	return manager_send(message, fd);
}

int store_put_device(const char *bdf, int fd)
{
	char name[NAME_SIZE];

	name_device(name, bdf);
	return put(name, fd);
}

int store_put_dma(const char *bdf, uint32_t ioas, int fd)
{
	char name[NAME_SIZE];

	name_dma(name, bdf, ioas);
	return put(name, fd);
}

int store_put_driver(const char *bdf, int fd)
{
	char name[NAME_SIZE];

	name_driver(name, bdf);
	return put(name, fd);
}

int store_put_memory(uint64_t lease, int fd)
{
	char name[NAME_SIZE];

	name_memory(name, lease);
	return put(name, fd);
}

int store_remove_state(void)
{
	return take_out(STATE);
}

static int remove_now(uint64_t id)
{
	char name[NAME_SIZE], message[MESSAGE_SIZE];

	name_client(name, id);
	write_removal(message, name);
	return manager_send(message, -1);
}

static bool remove_later(uint64_t id)
{
	if (late.nr == late.room) {
		size_t room = late.room ? 2 * late.room : 64;
		uint64_t *clients = realloc(late.clients, room * sizeof(*clients));

		if (!clients)
			return false;
		late.clients = clients;
		late.room = room;
	}
	late.clients[late.nr++] = id;
	return true;
}

int store_remove_client(uint64_t id)
{
	if (!store_exists() || !remove_now(id))
		return 0;
	return errno == EAGAIN && remove_later(id) ? 0 : -1;
}

void store_go_on(void)
{
	while (late.nr && (!remove_now(late.clients[late.nr - 1]) || errno != EAGAIN))
		late.nr--;
}

int store_remove_device(const char *bdf)
{
	char name[NAME_SIZE];

	name_device(name, bdf);
	return take_out(name);
}

int store_remove_dma(const char *bdf, uint32_t ioas)
{
	char name[NAME_SIZE];

	name_dma(name, bdf, ioas);
	return take_out(name);
}

int store_remove_driver(const char *bdf)
{
	char name[NAME_SIZE];

	name_driver(name, bdf);
	return take_out(name);
}

int store_remove_memory(uint64_t lease)
{
	char name[NAME_SIZE];

	name_memory(name, lease);
	return take_out(name);
}

int store_wait(void)
{
	if (!store_exists())
		return 0;
	return result_of(sd_notify_barrier(0, WAIT_USEC));
}

/* False: it is too long for an address, or there is none. */
static bool read_bdf(const char *name, size_t length, char bdf[16])
{
	if (!length || length >= 16)
		return false;
	for (size_t i = 0; i < length; i++)
		bdf[i] = name[i] == '_' ? ':' : name[i];
	bdf[length] = '\0';
	return true;
}

static void recognize_dma(const char *name, struct stored *stored)
{
	const char *bdf = name + strlen(DMA), *ioas = strrchr(bdf, '-');
	char again[NAME_SIZE];

	if (!ioas || !read_bdf(bdf, ioas - bdf, stored->bdf))
		return;
	stored->ioas = strtoul(ioas + 1, NULL, 10);
	name_dma(again, stored->bdf, stored->ioas);
	if (!strcmp(name, again))
		stored->type = STORED_DMA;
}

static void recognize(const char *name, struct stored *stored)
{
	char again[NAME_SIZE];

	if (!strcmp(name, STATE)) {
		stored->type = STORED_STATE;
	} else if (!strncmp(name, CLIENT, strlen(CLIENT))) {
		stored->client = strtoull(name + strlen(CLIENT), NULL, 10);
		name_client(again, stored->client);
		if (!strcmp(name, again))
			stored->type = STORED_CLIENT;
	} else if (!strncmp(name, DEVICE, strlen(DEVICE))) {
		name += strlen(DEVICE);
		if (read_bdf(name, strlen(name), stored->bdf))
			stored->type = STORED_DEVICE;
	} else if (!strncmp(name, DMA, strlen(DMA))) {
		recognize_dma(name, stored);
	} else if (!strncmp(name, DRIVER, strlen(DRIVER))) {
		name += strlen(DRIVER);
		if (read_bdf(name, strlen(name), stored->bdf))
			stored->type = STORED_DRIVER;
	} else if (!strncmp(name, MEMORY, strlen(MEMORY))) {
		stored->lease = strtoull(name + strlen(MEMORY), NULL, 10);
		name_memory(again, stored->lease);
		if (!strcmp(name, again))
			stored->type = STORED_MEMORY;
	}
}

int store_take_all(struct stored **stored)
{
	char **names = NULL;
	int nr = sd_listen_fds_with_names(1, &names);

	*stored = NULL;
	if (nr < 0) {
		errno = -nr;
		return -1;
	}
	if (nr)
		*stored = calloc(nr, sizeof(**stored));
	for (int i = 0; i < nr; i++) {
		if (*stored) {
			(*stored)[i].fd = SD_LISTEN_FDS_START + i;
			recognize(names[i], &(*stored)[i]);
		}
		free(names[i]);
	}
	free(names);
	if (!nr || *stored)
		return nr;
	errno = ENOMEM;
	return -1;
}
