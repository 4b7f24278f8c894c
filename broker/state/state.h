/* SPDX-License-Identifier: MIT */
/*
 * What outlives the broker's process: records in a memfd, which the service manager
 * stores.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "core/effect.h"

struct state;

/* What a former process has left.  Owns its memory. */
struct saved {
	uint64_t start;			/* number of the last start; 0: there was none */
	struct client_record *clients;	/* each in the order of their ids */
	size_t nr_clients;
	struct lease_record *leases;
	size_t nr_leases;
	struct device_record *devices;	/* in the order of their addresses */
	size_t nr_devices;
};

/* A new one, empty.  NULL with errno. */
struct state *state_new(void);
/*
 * Loads the state of a former process of any version.  Takes ownership of @fd if it
 * succeeds.  NULL with errno; EBADMSG: it is damaged, and no part of it can be used.
 * Free @saved with saved_free(), also if it fails.
 */
struct state *state_load(int fd, struct saved *saved);
/*
 * Loads the newest state of @fds that is not damaged.  Like state_load(), but closes
 * all fds that it does not use.
 */
struct state *state_load_newest(const int *fds, size_t nr, struct saved *saved);
void state_free(struct state *state);
void saved_free(struct saved *saved);

/* Put it into the fd store, once.  The state owns it. */
int state_fd(const struct state *state);

/*
 * Makes room for @more new records.  Call it before an event that can be refused, with
 * room for the records that it adds, and for those of later events that cannot be
 * refused (devices only). -1 with errno: nothing has changed.  Existing records can
 * always be changed and removed, so events that add none need no room.
 */
int state_reserve(struct state *state, size_t more);

/*
 * Carries out an EFFECT_SAVE_* or EFFECT_FORGET_*, without a system call.  When it
 * returns, the next process will find the change.  -1 with errno; ENOSPC: it was not
 * reserved.
 */
int state_save(struct state *state, const struct effect *effect);

#endif
