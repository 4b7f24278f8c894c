/* SPDX-License-Identifier: MIT */
/*
 * What can be leased, by whom, and the limits: the configuration in the form that the
 * core uses.
 */
#ifndef CORE_CATALOGUE_H
#define CORE_CATALOGUE_H

#include <stdint.h>

#include "policy.h"

#define MAX_REGISTERS	16	/* that are written when a lease of a slice ends */

struct register_write {
	uint64_t offset;	/* in the slice */
	uint64_t value;
	uint32_t width;		/* bits */
};

enum reset_when {
	RESET_NOT,
	RESET_WHEN_IDLE,	/* when the last lease of the device ends */
	RESET_EACH_TIME,	/* suspends the other leases meanwhile */
};

/* What is done to the device when a lease ends. */
struct actions {
	enum reset_when reset;
	uint32_t nr;
	struct register_write writes[MAX_REGISTERS];
};

#define SLICE_READ_ONLY	(1u << 0)
#define SLICE_WC	(1u << 1)
#define SLICE_EXCLUSIVE	(1u << 2)
#define SLICE_INTERRUPT	(1u << 3)	/* each lease gets an eventfd */

struct slice {
	char name[64];		/* "<device>/<slice>" */
	uint32_t bar;
	uint32_t count;		/* of an array; 1: not an array */
	uint64_t offset;	/* of the first */
	uint64_t length;	/* of each */
	uint64_t memory;	/* bytes for DMA that each lease gets; 0: none */
	uint32_t depth;		/* commands of a queue; for the driver */
	uint32_t flags;		/* SLICE_* */
	uint32_t max_seconds;	/* 0: no limit */
	struct rule rule;
	struct actions actions;
};

/* Which driver handles what differs between kinds of devices; see devices/driver.h. */
enum driver_kind { DRIVER_GENERIC, DRIVER_NVME, NR_DRIVERS };

struct catalogue_device {
	char name[64];
	char bdf[16];
	char vf_token[37];	/* a UUID, or "" */
	uint64_t patience;	/* microseconds that an operation can take */
	uint32_t driver;	/* enum driver_kind */
	struct slice *slices;
	size_t nr_slices;
};

/* Resources that have limits. */
enum resource { CLIENTS, LEASES, MEMORY_BYTES, NR_RESOURCES };	/* memory: in bytes */

/* Places that only this user can take. */
struct kept {
	uint64_t user;
	uint64_t places[NR_RESOURCES];
};

struct catalogue {
	uint64_t total[NR_RESOURCES];		/* not less than all kept places */
	uint64_t per_user[NR_RESOURCES];
	uint64_t memory_per_client;
	uint32_t leases_per_client;
	struct rule admins;			/* besides root */
	struct kept *kept;
	size_t nr_kept;
	struct catalogue_device *devices;
	size_t nr_devices;
};

const struct catalogue_device *catalogue_find_device(const struct catalogue *catalogue,
						     const char *bdf);
const struct slice *catalogue_find_slice(const struct catalogue *catalogue, const char *name,
					 const struct catalogue_device **device);

#endif
