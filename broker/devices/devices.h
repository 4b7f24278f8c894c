/* SPDX-License-Identifier: MIT */
/*
 * Devices.  Each has a worker: a thread that opens it, exports, revokes, runs actions
 * and closes.  Only the worker waits for the device.
 *
 * All functions are for one thread, the loop's.  All but devices_free() return
 * immediately.  A program uses them like this:
 *
 *	devices_set_catalogue()		before the core is given the catalogue
 *	devices_adopt()			for each device in the fd store, before core_restore()
 *	devices_do()			for each effect of a device
 *	devices_fd()			in an epoll, EPOLLIN | EPOLLET, never read
 *	devices_watch_fd()		in an epoll, EPOLLIN; when readable: devices_look()
 *	devices_next()			after both, until false: the events, for core_handle()
 *	devices_take_fds()		when a grant is sent
 *
 * A program that ends need not do anything about its devices.  Workers end with it, and the
 * next process continues from the fd store and the state.  The process ends when no worker is
 * in a call that cannot be interrupted.
 */
#ifndef DEVICES_H
#define DEVICES_H

#include "effect.h"
#include "event.h"

struct devices;

/*
 * The service manager's fd store.  Workers call these functions from their threads,
 * possibly at the same time, and wait for them.  Each returns 0, or -1 with errno.
 */
struct devices_store {
	void *data;
	/* When it returns, the store has a copy of @fd. */
	int (*put)(void *data, const char *bdf, int fd);
	/* The same for the IO address space of a device, and for its driver. */
	int (*put_dma)(void *data, const char *bdf, uint32_t ioas, int fd);
	int (*put_driver)(void *data, const char *bdf, int fd);
	/* When it returns, the store has closed these three of the device. */
	int (*remove)(void *data, const char *bdf, uint32_t ioas);
	/* The memfd of a lease.  The store may close it after remove_memory() has returned. */
	int (*put_memory)(void *data, uint64_t lease, int fd);
	int (*remove_memory)(void *data, uint64_t lease);
};

/* @store: valid until devices_free().  NULL with errno. */
struct devices *devices_new(const struct devices_store *store);
/*
 * Waits for the current jobs of workers.  Devices stay in the store.  NULL is
 * allowed.
 */
void devices_free(struct devices *devices);

/*
 * Sets the catalogue with which devices are opened and prepared.  NULL: no configuration.
 * @catalogue: valid until the next one.  Return: 0; -1 with ENOMEM: nothing has changed.
 */
int devices_set_catalogue(struct devices *devices, const struct catalogue *catalogue);

/*
 * Whether all slices fit the devices that are open: they are in their BARs, and devices
 * with a reset can be reset.  If not, @why (@size bytes) describes the first misfit.
 */
bool devices_fit(const struct devices *devices, const struct catalogue *catalogue, char *why,
		 size_t size);

/*
 * Adopts a device fd from the store.  EFFECT_OPEN then uses it instead of opening the
 * device.  @fd: the worker owns it after success, the caller after failure.
 * Return: 0; -1 with errno: restore the device as not stored.
 */
int devices_adopt(struct devices *devices, const char *bdf, int fd);

/*
 * Before devices_adopt() of the device: what else of it is in the store.  The worker owns
 * the fds after success, the caller after failure.
 * Return: 0; -1 with errno.
 */
int devices_adopt_dma(struct devices *devices, const char *bdf, int fd, uint32_t ioas);
int devices_adopt_driver(struct devices *devices, const char *bdf, int fd);
/* @lease: has memory that is mapped.  @fd: -1: the store has lost it. */
int devices_adopt_memory(struct devices *devices, const struct lease_record *lease, int fd);

/*
 * Carries out EFFECT_OPEN, PREPARE, EXPORT, REVOKE, ACT, UNMAP and CLOSE; those of one device one
 * after another.  Ignores other effects.  The event may be available immediately.
 */
void devices_do(struct devices *devices, const struct effect *effect);

/* Becomes readable, edge-triggered, when there are results. */
int devices_fd(const struct devices *devices);
/* Is readable when the kernel or udev reports something about a device. */
int devices_watch_fd(const struct devices *devices);
/* Turns these reports into events. */
void devices_look(struct devices *devices);
/* The next event.  Its pointers are valid until the next call.  False: there is none. */
bool devices_next(struct devices *devices, struct event *event);

/*
 * Hands the DMABUF, the event fd, the memfd and the interrupt's eventfd of a lease to the
 * caller, who sends and closes them.  The last two are -1 if the lease does not have them.
 * False: there are none, because the lease was revoked, or after a restart.
 */
#define LEASE_FDS	4
bool devices_take_fds(struct devices *devices, uint64_t lease, int fds[LEASE_FDS]);

/* For logs, status and metrics. */
struct device_status {
	const char *bdf;
	uint32_t number;	/* the core's */
	const char *doing;	/* the current job, such as "revoke"; NULL: none */
	uint64_t since;		/* when that began; microseconds of CLOCK_BOOTTIME */
	size_t waiting;		/* jobs after it */
	const char *why;	/* the last failure; "" if there was none since it was opened */
};

/* @i: from 0.  False: there are no more. */
bool devices_status(const struct devices *devices, size_t i, struct device_status *status);
/* The last failure of a device: the reason of the event that devices_next() returned last. */
const char *devices_why(const struct devices *devices, uint32_t device);

#endif
