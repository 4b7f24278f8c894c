/* SPDX-License-Identifier: MIT */
/* The events that the core handles. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "catalogue.h"

enum event_type {
	/* Connections. */
	EVENT_CONNECT,		/* client, user, who */
	EVENT_DROPPED,		/* client: it was dropped; its account still counts it */
	EVENT_GONE,		/* client: nothing is left of the connection */
	EVENT_SENT,		/* client, ok: the last EFFECT_SEND is in the socket */
	/* Requests: client, serial. */
	EVENT_HELLO,		/* name */
	EVENT_ACQUIRE,		/* name, index, flags, seconds, wait */
	EVENT_RELEASE,		/* lease */
	EVENT_RENEW,		/* lease, seconds */
	EVENT_REVOKE,		/* lease */
	EVENT_WATCH,
	/* Results of the workers: device, ok. */
	EVENT_OPENED,		/* fresh, suspended, buffers, nr_buffers */
	EVENT_PREPARED,
	EVENT_EXPORTED,		/* lease, buffer, iova */
	EVENT_REVOKED,		/* lease or 0, buffer */
	EVENT_ACTED,		/* lease */
	EVENT_UNMAPPED,		/* lease */
	EVENT_CLOSED,
	/* Devices. */
	EVENT_PRESENT,		/* device: it was plugged in or bound, and can be opened */
	EVENT_UNPLUG,		/* device: it is being unbound or unplugged */
	EVENT_SUSPENDED,	/* device, suspended */
	/* The rest. */
	EVENT_RELOAD,		/* catalogue */
	EVENT_TIME,
};

/* A buffer in the kernel's list. */
struct listed {
	uint64_t id;
	bool revoked;
};

struct event {
	enum event_type type;
	uint64_t client, serial, lease, buffer;
	uint64_t user;
	uint64_t iova;			/* of the lease's memory */
	const struct identity *who;	/* valid until EVENT_GONE */
	const char *name;
	uint32_t device;
	uint32_t index, flags, seconds;
	uint64_t wait;			/* microseconds; 0: do not wait */
	bool ok, fresh, suspended;
	const struct listed *buffers;
	size_t nr_buffers;
	const struct catalogue *catalogue;	/* valid until the next one */
};

#endif
