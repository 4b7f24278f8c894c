/* SPDX-License-Identifier: MIT */
/* The jobs of a worker. All of them can wait for the device, without a limit. */
#ifndef DEVICES_OPERATE_H
#define DEVICES_OPERATE_H

#include "devices.h"
#include "driver.h"
#include "job.h"

struct vdb_device;

/* The memory of a lease, which is mapped for the device. */
struct lent_memory {
	uint64_t lease;
	uint32_t index;		/* of the lease, in its array */
	int fd;			/* a memfd; -1: the fd store has lost it */
	uint64_t iova, length;
};

/* A device, as its worker has it. */
struct held {
	char bdf[16];
	const struct devices_store *store;
	struct vdb_device *device;	/* NULL: not open */
	int stored;	/* fd of a former process; -1: none */
	int stored_driver;	/* the same, of driven_store() */
	bool in_store;
	struct facts facts;
	const struct driver *driver;	/* since the device was opened or adopted; else NULL */
	struct driven driven;
	/* Its IO address space, which is closed after the device; see memory.h. */
	int iommu;		/* a container or iommufd; -1: none */
	uint32_t ioas;
	struct vdb_dma *dma;
	struct lent_memory *memories;
	size_t nr_memories;
};

/* Carries out a job, and fills in its result. */
void operate(struct held *held, struct job *job);
/* Closes our fds, but leaves the device in the store for the next process. */
void operate_leave(struct held *held);

#endif
