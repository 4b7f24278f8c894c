/* SPDX-License-Identifier: MIT */
/*
 * What the core's world consists of in the simulation: devices and their buffers in a
 * kernel, clients, and a broker's process that can die and leave its state. Everything
 * that contradicts the broker's promises is a violation, which ends the run.
 */
#ifndef LENDING_WORLD_H
#define LENDING_WORLD_H

#include <setjmp.h>

#include "core.h"
#include "news.h"

#define DEVICES		3
#define USERS		5
#define CLIENTS_MAX	14
#define BUFFERS_MAX	512
#define MEMORIES_MAX	256
#define SOME_MEMORY	4096
#define RECORDS_MAX	128
#define QUEUE_MAX	256
#define CATALOGUES	4
#define PATIENCE	2000000
#define NO_EFFECT	(-1)
#define OUTSTANDING_MAX	4
#define HELD_MAX	32

struct buffer {
	uint64_t id;			/* 0: free */
	uint64_t lease;
	int device, incarnation;
	struct place_in_bar { uint64_t offset, length; uint32_t bar; } place;
	bool exclusive;
	bool revoked;
	bool in_broker;			/* the process has the fd */
	bool with_client;		/* it was sent, and the client has fd or mapping, or may */
	bool sent;
	bool dirty;			/* it was sent, and the on-release actions have not run */
};

/* Memory of a lease. */
struct memory {
	uint64_t lease;			/* 0: free */
	uint64_t iova;
	int device;
	struct place_in_bar place;	/* of the lease */
	bool exclusive;
	bool mapped;			/* the device reaches it */
	bool known;			/* the process has it from the state, or has mapped it */
};

/* What a worker does, one after the other. */
struct job {
	struct effect effect;
	struct lease_record record;
	struct news news;
	uint64_t watch;			/* of a client's record */
	char bdf[16];
	uint64_t since;
};

struct sim_device {
	char bdf[16];
	bool present, open, stored, prepared;
	bool suspended;
	int incarnation;
	bool hung, failing;
	uint64_t troubles;		/* events that can end a lease */
	uint32_t number;		/* of the process that runs */
	struct job jobs[QUEUE_MAX];
	int nr_jobs;
	struct event results[QUEUE_MAX];
	struct listed listed[BUFFERS_MAX];
	int nr_results;
	uint64_t result_since;
};

struct sim_message {
	enum { MSG_REPLY, MSG_SEND } kind;
	struct effect effect;
	struct lease_record record;
	struct news news;
	uint64_t time;
};

struct outstanding {
	uint64_t serial;		/* 0: free */
	enum event_type type;
	uint64_t lease;
	uint64_t wait_until;
	uint64_t reloads, troubles;	/* as they were */
	bool answered;			/* it waits */
};

struct held {
	uint64_t lease, buffer;		/* lease 0: free */
	int device;
	uint64_t expires;
	uint64_t reloads, troubles;
	uint64_t refused;		/* serial of a release that was answered with "no such lease" */
	bool asked, unwanted, closed, renewed;
	bool suspended;			/* as it was notified last */
};

struct sim_client {
	uint64_t id;			/* 0: not connected */
	uint64_t user;
	struct identity who;
	bool reads, greeted, told_hello;
	bool known;			/* the process has accepted it */
	bool kept;			/* in the store */
	bool dropped;			/* the process does not serve it any more */
	uint64_t serial;
	struct outstanding outstanding[OUTSTANDING_MAX];
	struct held held[HELD_MAX];
	bool watches;
	uint64_t watches_since;		/* it is sent news of what is granted later */
	uint64_t seen[RECORDS_MAX];	/* leases whose grant it has seen, but not their end */
	int nr_seen;
	struct event requests[8];
	int nr_requests;
	struct sim_message inbox[8];
	int nr_inbox;
	bool sending;			/* the connection has a message that waits for room, or */
	bool sent, sent_ok;		/* the core does not know yet that it was sent */
	struct sim_message pending;
};

struct world {
	uint64_t random, now, step;
	jmp_buf stop;
	const char *violation;
	char detail[256];
	bool calm;			/* nothing fails */
	/* Broken on purpose: an effect of type second is put before one of type first. */
	int swap_first, swap_second;

	struct catalogue catalogues[CATALOGUES];
	int catalogue;
	uint64_t reloads, unsent;
	bool broken;			/* the process has no catalogue */
	bool was_broken;		/* when it started */
	struct sim_device devices[DEVICES];
	struct buffer buffers[BUFFERS_MAX];
	struct memory memories[MEMORIES_MAX];
	uint64_t last_buffer, last_client, last_iova;
	struct sim_client clients[CLIENTS_MAX];

	/* The process. */
	struct core *core;
	struct job effects[1024];
	int nr_effects;
	uint64_t timer;
	bool crashed;

	/* What outlives it. */
	uint64_t start;
	struct lease_record leases[RECORDS_MAX];
	int nr_leases;
	struct client_record saved_clients[CLIENTS_MAX * 2];
	int nr_saved_clients;
	struct device_record saved_devices[DEVICES];
	int nr_saved_devices;

	/* When the last leases were granted. */
	struct { uint64_t lease, time; } granted[2 * RECORDS_MAX];
	uint64_t nr_granted;
	uint64_t mapped, unmapped;	/* of leases, unmapped by themselves */
	uint64_t crashes, grants, ends, waits, swapped, news, missed;
};

_Noreturn void violation(struct world *world, const char *what, uint64_t a, uint64_t b);

/* simulate.c */
uint64_t random_below(struct world *world, uint64_t n);
static inline bool chance(struct world *world, uint64_t n)
{
	return !random_below(world, n);
}

/* catalogues.c */
void catalogues_make(struct world *world);
const char *any_slice(struct world *world);

/* kernel.c */
struct sim_device *device_by_bdf(struct world *world, const char *bdf);
struct buffer *buffer_by_id(struct world *world, uint64_t id);
bool buffer_is_live(const struct world *world, const struct buffer *buffer);
void kernel_close(struct world *world, struct sim_device *device);
/* A process starts: what the state has of its memory. */
void kernel_know_memory(struct world *world);
/* NULL: the device does not reach memory of the lease. */
struct memory *mapped_memory(struct world *world, uint64_t lease);
/* Does the first job; false if there is none, or it hangs. */
bool kernel_work(struct world *world, struct sim_device *device);
/* As the process dies: the first job may have been done. */
void kernel_crash(struct world *world);
/* A grant is sent: no other client may reach its bytes, or have left values there. */
void kernel_forget_revoked(struct world *world);
void kernel_check_grant(struct world *world, const struct lease_record *record);

/* client.c */
struct sim_client *client_by_id(struct world *world, uint64_t id);
void client_connect(struct world *world, struct sim_client *client);
void client_close(struct world *world, struct sim_client *client);
void client_act(struct world *world, struct sim_client *client);
void client_release_unwanted(struct world *world, struct sim_client *client);
bool client_read(struct world *world, struct sim_client *client);
void client_lost(struct world *world, struct sim_client *client);
/* Whether a watcher was sent the grant of the lease, but not its end. */
bool client_has_seen(const struct sim_client *client, uint64_t lease);
uint64_t troubles_of(const struct world *world, int device);

/* process.c */
void process_start(struct world *world);
void process_handle(struct world *world, struct event *event);
void process_crash(struct world *world);
bool process_serve(struct world *world, struct sim_client *client);
bool process_result(struct world *world, struct sim_device *device);
bool process_ring(struct world *world);
bool process_flush(struct world *world, struct sim_client *client);

/* checks.c */
bool records_conflict(const struct lease_record *a, const struct lease_record *b);
void check_saved(struct world *world);
void check_calm(struct world *world);

/* simulate.c: NULL, or what was violated. */
const char *simulate(struct world *world, uint64_t seed, uint64_t steps, int swap_first,
		     int swap_second);

#endif
