/* SPDX-License-Identifier: MIT */
/*
 * What of the broker outlives its process: a memfd that the service manager
 * keeps, with clients and leases.
 *
 * The file has two copies of everything.  A change is made in the older one and
 * takes effect with its checksum and generation, written last, so a process that
 * is killed at any point leaves the state before or after the change.
 */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

enum lease_phase {
	LEASE_GRANTING = 1,	/* exported; the client does not have it yet */
	LEASE_SENT = 2,		/* the client has it, or is just about to */
	LEASE_GRANTED = 3,
};

struct state_client {
	uint64_t cookie;	/* SO_COOKIE of its socket */
	uint32_t greeted;	/* its hello was answered */
	uint32_t answered;	/* serial of a request that may still lie in the socket, or 0 */
	char name[64];
};

struct state_lease {
	uint64_t id;
	uint64_t client;	/* cookie */
	uint64_t expires;	/* CLOCK_BOOTTIME in microseconds, 0: never */
	uint64_t offset;	/* in the BAR */
	uint64_t length;
	uint32_t bar;
	uint32_t index;
	uint32_t flags;
	uint32_t phase;
	uint32_t serial;	/* of the request that it answers */
	uint32_t state;		/* enum vdp_state, as the client knows it or is to be told */
	uint32_t end;		/* enum vdp_end: there is only the client to be told */
	uint32_t tell;
	char bdf[16];
	char slice[64];
	struct hooks hooks;	/* of the configuration by which it was lent */
};

#define STATE_MAX_CLIENTS	(CONFIG_MAX_CLIENTS + CONFIG_RESERVED)
#define STATE_MAX_LEASES	(CONFIG_MAX_LEASES + CONFIG_RESERVED)

struct state_data {
	uint64_t next_id;
	uint32_t nr_clients;
	uint32_t nr_leases;
	struct state_client clients[STATE_MAX_CLIENTS];
	struct state_lease leases[STATE_MAX_LEASES];
};

struct state {
	int fd;			/* the memfd; belongs to this */
	struct state_file *file;
	struct state_data data;	/* to be changed, and then saved */
};

/* A new one, empty; NULL with errno. */
struct state *state_new(void);
/*
 * That of a former process, in @fd, which it takes over if it succeeds.  NULL
 * if it is damaged or another version's.
 */
struct state *state_load(int fd);
void state_save(struct state *state);
void state_free(struct state *state);

#endif
