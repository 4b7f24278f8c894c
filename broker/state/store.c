/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "store.h"

#define WAIT_USEC	(10 * 1000000ULL)
#define NAME_SIZE	64
#define STATE		"state"
#define CLIENT		"client-"
#define DEVICE		"device-"
#define DMA		"dma-"
#define DRIVER		"driver-"
#define MEMORY		"memory-"

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

static int put(const char *name, int fd)
{
	char message[NAME_SIZE + 64];

	if (!store_exists())
		return 0;
	/* Without FDPOLL=0, the manager would forget a client that disconnects before we know. */
	snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	return result_of(sd_pid_notify_with_fds(0, 0, message, &fd, 1));
}

static int take_out(const char *name)
{
	if (!store_exists())
		return 0;
	return result_of(sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name));
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
	char name[NAME_SIZE];

	name_client(name, id);
	return put(name, fd);
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

int store_remove_client(uint64_t id)
{
	char name[NAME_SIZE];

	name_client(name, id);
	return take_out(name);
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
