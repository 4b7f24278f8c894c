/* SPDX-License-Identifier: MIT */
/* The jobs of a worker. All of them can wait for the device, without a limit. */
#ifndef DEVICES_OPERATE_H
#define DEVICES_OPERATE_H

#include "devices.h"
#include "job.h"

struct vdb_device;

/* A device, as its worker has it. */
struct held {
	char bdf[16];
	const struct devices_store *store;
	struct vdb_device *device;	/* NULL: not open */
	int stored;	/* fd of a former process; -1: none */
	bool in_store;
	struct facts facts;
};

/* Carries out a job, and fills in its result. */
void operate(struct held *held, struct job *job);
/* Closes our fds, but leaves the device in the store for the next process. */
void operate_leave(struct held *held);

#endif
