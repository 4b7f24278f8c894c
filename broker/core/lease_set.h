/* SPDX-License-Identifier: MIT */
/* Leases are created, saved, take bytes, free bytes, and are forgotten. */
#ifndef CORE_LEASE_SET_H
#define CORE_LEASE_SET_H

#include "machine.h"

/* A lease of @device.  Reserves everything that it may ever need.  NULL: no memory. */
struct lease *lease_new(struct core *core, const struct lease_record *record,
			struct client *client, struct device *device);
void lease_save(struct core *core, struct lease *lease);
void lease_forget(struct core *core, struct lease *lease);
/* Takes the lease from its client, which was dropped. */
void lease_leave_client(struct lease *lease);
/* The client that asked for its end, and waits for the answer. */
void lease_set_asker(struct lease *lease, struct client *asker, uint64_t serial);

void lease_take_bytes(struct lease *lease);
/* Also ends its waiting. */
void lease_free_bytes(struct core *core, struct lease *lease);
void lease_wait(struct lease *lease);
void lease_stop_waiting(struct lease *lease);

#endif
