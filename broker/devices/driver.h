/* SPDX-License-Identifier: MIT */
/*
 * What differs between kinds of devices: how a device is prepared, and how each of its
 * leases begins and ends.  A driver knows one kind of device.  driver_generic writes the
 * registers and does the resets that the configuration names.
 *
 * All functions run in the device's worker, one after another, and can wait for the
 * device.  If a function that returns bool fails, it returns false and writes the reason
 * to @why (@size bytes).  The worker then closes the device, unless the function's
 * comment says otherwise.
 *
 * A device begins with open() or adopt(), and ends with close().  In between, the worker
 * does this for each lease of one of its slices:
 *
 *	lease_begin()	its memory is allocated and mapped, and no client has it yet
 *			(the registers are exported, and the client is sent both)
 *			(the registers are revoked)
 *	lease_end()	afterwards the memory is unmapped, then freed
 */
#ifndef DEVICES_DRIVER_H
#define DEVICES_DRIVER_H

#include <vfio-dmabuf.h>

#include "catalogue.h"

struct held;

/* What a driver has of a device. */
struct driven {
	const char *bdf;
	struct vdb_device *device;
	/*
	 * The IO address space of the device and all its leases.  A driver can allocate memory
	 * of its own in it.  NULL: the device has no IOMMU.
	 */
	struct vdb_dma *dma;
	void *own;		/* the driver's, from open() or adopt() until close() */
	struct held *held;	/* for driven_store() */
};

/* What a driver has of a lease. */
struct lent {
	uint64_t id;
	uint32_t index;		/* in the array of slices */
	const struct slice *slice;	/* the bytes of this lease: count is 1; NULL in adopt() */
	/* Its memory; length is 0 if it has none. */
	uint64_t iova, length;
	int memory;		/* its memfd; -1: it has none, or the fd store has lost it */
	/*
	 * All zeros, in this process.  Only in lease_begin(): afterwards the client can change
	 * the memory, and make holes into it.
	 */
	void *address;
	/*
	 * An eventfd for the lease's interrupt; -1: it has none.  Only in lease_begin(): the client
	 * gets it, and this process closes it.  VFIO keeps it with the device, also for the next
	 * process, until lease_end() takes the interrupt away.
	 */
	int interrupt;
};

struct driver {
	const char *name;
	/* The device was opened: VFIO has reset it, and it has no leases. */
	bool (*open)(struct driven *driven, char *why, size_t size);
	/*
	 * The device was opened by a former process, which may have died in any of these
	 * functions.  @leases: those with memory that continue, or that must still be ended.  If
	 * the device has anything of other leases, such as queues, end it here: their memory is
	 * unmapped afterwards.  @stored: the memfd of driven_store(), now the driver's; -1: none.
	 * Reserve the driver's own memory here with vdb_dma_reserve().  Otherwise it is unmapped
	 * as well.
	 */
	bool (*adopt)(struct driven *driven, int stored, const struct lent *leases, size_t nr,
		      char *why, size_t size);
	/* Before the first lease since open(), and if a former lease may have left anything. */
	bool (*prepare)(struct driven *driven, const struct slice *slices, size_t nr, bool reset,
			char *why, size_t size);
	/* If it fails, the request is refused, and lease_end() is called. */
	bool (*lease_begin)(struct driven *driven, const struct lent *lease, char *why, size_t size);
	/*
	 * Afterwards the device does not use the memory.  @reset: the device is to be reset, as
	 * the configuration says.  It is called again if a process died in it, also if
	 * lease_begin() has failed or was not called.  Of a lease without memory it is called
	 * only if there are registers to write, or a reset.
	 */
	bool (*lease_end)(struct driven *driven, const struct lent *lease, bool reset, char *why,
			  size_t size);
	/*
	 * The device is closed next, for good: it may not answer any more.  Clients can still
	 * have registers, and memory is unmapped when the device is closed.  Frees driven->own.
	 * @leaves: the process ends instead, and the next one adopts the device.
	 */
	void (*close)(struct driven *driven, bool leaves);
};

extern const struct driver driver_generic;
extern const struct driver driver_nvme;

/*
 * Puts a memfd into the fd store, for adopt() in a later process: what the driver must know
 * of its own memory, and its state.  There is one for each device, which replaces the former
 * one.  The caller keeps @fd.  -1 with errno.
 */
int driven_store(const struct driven *driven, int fd);

#endif
