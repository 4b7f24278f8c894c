/* SPDX-License-Identifier: MIT */
/* Connections are added, put on accounts, dropped and removed. */
#ifndef CORE_CONNECT_H
#define CORE_CONNECT_H

#include "machine.h"

/* NULL: no memory. */
struct client *connect_add(struct core *core, uint64_t id, uint64_t user,
			   const struct identity *who);
void connect_request(struct core *core, const struct event *event);
/* Ends its leases.  It stays on its account. */
void connect_dropped(struct core *core, struct client *client);
void connect_gone(struct core *core, struct client *client);

#endif
