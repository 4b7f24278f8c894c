/* SPDX-License-Identifier: MIT */
/* Fds of leases that were exported and not sent yet. */
#ifndef DEVICES_UNSENT_H
#define DEVICES_UNSENT_H

#include "devices.h"
#include "table.h"

struct unsent {
	uint64_t lease;
	uint32_t device;
	int fds[LEASE_FDS];	/* as of devices_take_fds(); -1: none, or none yet */
};

struct unsents {
	struct table table;
	size_t exporting;	/* exports that may be added to the table */
};

/* Reserves what an export needs.  NULL: no memory. */
struct unsent *unsent_new(struct unsents *unsents, uint64_t lease, uint32_t device);
/* After the export: keep the fds, or close them. */
void unsent_keep(struct unsents *unsents, struct unsent *unsent);
void unsent_drop(struct unsents *unsents, struct unsent *unsent);

/* Hands the fds to the caller.  False: there are none. */
bool unsents_take(struct unsents *unsents, uint64_t lease, int fds[LEASE_FDS]);
/* Closes the fds of a lease, or of a device. */
void unsents_close(struct unsents *unsents, uint64_t lease);
void unsents_close_device(struct unsents *unsents, uint32_t device);
void unsents_free(struct unsents *unsents);

#endif
