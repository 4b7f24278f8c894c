/* SPDX-License-Identifier: MIT */
/* A job of a device's worker, and its result. */
#ifndef DEVICES_JOB_H
#define DEVICES_JOB_H

#include "effect.h"
#include "event.h"
#include "facts.h"

#define VF_TOKEN_SIZE	37	/* a UUID, with the NUL */
#define WHY_SIZE	192

struct unsent;
struct worker;

struct job {
	struct job *next;
	struct worker *worker;	/* whose job it is; NULL: an event without a job */
	enum effect_type type;
	bool spare, busy;	/* not allocated, for lack of memory; and in use */
	unsigned int incarnation;	/* of the device */
	struct event event;	/* the result */

	/* What to do. */
	char bdf[16];
	char vf_token[VF_TOKEN_SIZE];	/* "": none */
	bool reset;
	struct slice slice;	/* to export, or of the lease that ends; without a rule */
	uint32_t index;		/* of that lease, in its array */
	struct slice *slices;	/* to prepare; without rules */
	size_t nr_slices;

	/* The result. */
	char why[WHY_SIZE];	/* why it failed */
	struct facts facts;
	int fd;			/* of an opened device, which stays the worker's */
	struct listed *buffers;
	int request, events;	/* fds of an opened device to watch; -1: none */
	struct unsent *unsent;	/* a place for the fds of a lease */
};

#endif
