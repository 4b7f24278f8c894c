/* SPDX-License-Identifier: MIT */
/* The structure that all parts of the core work on. */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include "account.h"
#include "client.h"
#include "core.h"
#include "deadline.h"
#include "device.h"

struct core {
	const struct catalogue *catalogue;	/* NULL: the configuration has mistakes */
	effect_function *effect;
	void *shell;
	uint64_t now;
	uint64_t next_id;		/* of leases: the start's number, and a count */
	struct table leases, clients;
	struct device **devices;
	size_t nr_devices;
	uint32_t next_number;
	struct accounts accounts;
	struct deadlines deadlines;
	uint64_t armed;			/* the time of the timer; 0: none */
	struct client *awake;
	struct news *news;		/* the last NEWS_ROOM; NULL: no client has watched yet */
	uint64_t next_news;		/* how many there have been */
	struct client *watchers;
	struct lease *asked;		/* of the acquire that is being handled; not saved yet */
};

#define EMIT(core, ...) \
	(core)->effect((core)->shell, &(struct effect){ .type = __VA_ARGS__ })

#endif
