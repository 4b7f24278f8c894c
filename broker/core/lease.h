/* SPDX-License-Identifier: MIT */
/* A lease of a slice, from the request until every client knows of its end. */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include "record.h"

struct account;
struct client;
struct device;

/* A lease about which a client must be sent a message. */
struct notice {
	struct lease *lease;
	struct notice *next;
	bool queued;
	bool done;		/* the client knows that the lease has ended */
};

struct lease {
	struct lease_record r;		/* first: tables look for the id */
	struct device *device;		/* NULL: the lease has ended */
	struct client *client;		/* NULL: disconnected */
	struct client *asker;		/* of r.asker */
	struct account *account;
	struct lease *next, **link;	/* of the client's leases */
	struct lease *next_waiting;	/* of the device, the oldest first */
	bool saved;			/* the state has it */
	bool sent;			/* the grant was sent, or may have been */
	bool was_granted;
	struct notice to_client, to_asker;
	uint64_t deadline;		/* of its phase; 0: none */
	size_t heap_index;
};

/* Whether its bytes are taken. */
static inline bool lease_takes_bytes(const struct lease *lease)
{
	return lease->r.phase >= LEASE_EXPORTING && lease->r.phase <= LEASE_ENDING;
}

#endif
