/* SPDX-License-Identifier: MIT */
/*
 * The core, event by event: each test is a table of events with the effects that they
 * must have, in order.
 */
#ifndef CORE_STEPS_H
#define CORE_STEPS_H

#include "client.h"
#include "core.h"
#include "news.h"
#include "suite.h"

#define NR_SLICES	3
#define NR_IDENTITIES	4

extern struct slice slices[NR_SLICES];
extern struct catalogue_device device;
extern struct catalogue catalogue;
extern const struct identity identities[NR_IDENTITIES];

extern struct core *core;
extern uint64_t now;

/* The effects of the last event, as text: "save export reply:busy". */
extern char said[1024];
extern uint64_t last_lease, last_dropped, timer;
extern struct news last_news;
extern uint64_t news_for;		/* the client that it is sent to */

/* For core_new(): adds the effect to @said. */
void note(void *shell, const struct effect *effect);
/* The event must have these effects. */
void happens(struct event event, const char *expected);
/* A core that begins with what a former process has left. */
void starts(const struct restored *restored, const char *expected);
/* A core with an open device. */
void opens(void);
/* Client n is of user n. */
void connects(uint64_t client);
struct event acquire(uint64_t client, uint64_t serial, const char *name, uint32_t index);
/* The id of the lease. */
uint64_t is_granted(uint64_t client, uint64_t serial, uint32_t index, uint64_t buffer);
/* The id of a lease with memory at 0x1000. */
uint64_t is_granted_memory(uint64_t client, uint64_t serial, uint32_t index);

#endif
