/* SPDX-License-Identifier: MIT */
/*
 * Lists and the status.  A message is made when the connection has room for it, and shows
 * its item in the state of that moment.
 */
#ifndef PROTOCOL_LIST_H
#define PROTOCOL_LIST_H

#include "core/core.h"
#include "protocol/decode.h"

struct list {
	enum vdp_type type;
	uint64_t client;
	uint64_t serial;
	uint32_t item;
	uint64_t next;		/* the least key that has not been listed */
	size_t slice;		/* of a device */
};

/* What lists are made from. */
struct view {
	const struct core *core;
	const struct catalogue *catalogue;	/* NULL: the configuration has mistakes */
	uint64_t now;				/* as for core_handle() */
	const char *problem;			/* of the configuration; NULL: none */
	/* Why a device is not open, "" if that is not known; NULL: what the core says. */
	void (*explain)(const void *shell, const struct device *device, char *text, size_t size);
	const void *shell;
};

/* @request: a REQUEST_LIST. */
void list_begin(struct list *list, const struct request *request);
/* The catalogue has changed: begins the list again at its first item. */
void list_again(struct list *list);
/* Makes the next message.  False: it is the last one. */
bool list_next(struct list *list, const struct view *view, struct packet *packet);

#endif
