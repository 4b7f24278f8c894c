/* SPDX-License-Identifier: MIT */
/* The leases that vfio-dmabuf run has passed to this process: see vfio-dmabuf(1). */
#ifndef NVME_INHERITED_H
#define NVME_INHERITED_H

#include <vfio-dmabuf.h>

struct inherited {
	char name[128];			/* with the index: nvme/queue[3] */
	struct vdb_slice *doorbells;	/* the caller's, both */
	struct vdb_slice *memory;
};

/*
 * The lease number @nr, from 0, of those with memory whose name is @slice: "nvme/queue" is
 * all of them, "nvme/queue[3]" one, NULL any.  The fds of the process stay open, so that
 * another job can use them.
 *
 * 1; 0: there is none; -1 with @error.
 */
int inherited_queue(const char *slice, unsigned int nr, struct inherited *lease, char error[VDB_ERROR_SIZE]);

#endif
