/* SPDX-License-Identifier: MIT */
/* What the core keeps of a connection. */
#ifndef CORE_CLIENT_H
#define CORE_CLIENT_H

#include "account.h"
#include "effect.h"
#include "lease.h"

struct client {
	struct client_record r;		/* first: tables look for the id */
	const struct identity *who;
	struct account *account;
	bool greeted;
	bool dropped;
	uint64_t seen;			/* the greatest serial of its requests */
	uint64_t active;		/* time of its last request */
	uint32_t nr_leases;
	uint64_t memory;		/* of its leases */
	uint32_t nr_asked;		/* leases of others that it revokes and waits for */
	struct lease *leases;
	struct client *next_awake;	/* in the list of clients that can be sent something now */
	bool awake;
	struct notice *notices, **last;	/* to be sent, the oldest first */
	struct notice *sending;		/* handed to the connection, but not in the socket yet */
	enum message message;		/* the message of @sending */
	/* If it watches, which is r.watch. */
	struct client *next_watcher;
	uint64_t next_news;		/* number of the first that it has not been sent */
	uint64_t missed;		/* news that were overwritten before they could be sent */
	bool sending_news;		/* as @sending */
};

#endif
