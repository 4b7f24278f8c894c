/* SPDX-License-Identifier: MIT */
/* What outlives the process: the fields that the state keeps. */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "catalogue.h"

enum phase {
	LEASE_WAITING = 1,	/* for other leases to end, or for the device */
	LEASE_EXPORTING,	/* its bytes are taken; there may be a buffer */
	LEASE_GRANTED,		/* the buffer's id is known; the client has it or will have it */
	LEASE_ENDING,		/* it is revoked, then the actions run; its bytes are taken */
	LEASE_ENDED,		/* only messages to clients are left */
};

/* Why a lease ended, or was not granted. */
enum end {
	END_NONE,
	END_RELEASED,
	END_EXPIRED,
	END_REVOKED,		/* by an administrator or a new configuration */
	END_DEVICE,		/* the device is lost */
	END_CLIENT,		/* the client disconnected, or no process has the slice any more */
	END_UNSENT,		/* the fds could not be sent */
	END_EXPORT,		/* the kernel did not export it */
	END_BUSY,		/* not granted: other leases have it */
	END_TIMEOUT,		/* not granted within the time to wait */
};

#define ANY_INDEX	0xffffffffu

struct lease_record {
	uint64_t id;
	uint64_t client;
	uint64_t serial;	/* of the request to acquire */
	uint64_t asker;		/* client that asked for the end and waits for the answer, or 0 */
	uint64_t asker_serial;
	uint64_t buffer;	/* the kernel's id; 0: none yet */
	uint64_t offset;	/* in the BAR */
	uint64_t length;
	uint64_t expires;	/* microseconds of CLOCK_BOOTTIME; 0: never */
	uint64_t wait_until;	/* the same; 0: does not wait for other leases */
	uint64_t memory;	/* bytes for the device's DMA; 0: none */
	uint64_t iova;		/* where the device has it; 0: it is not mapped yet, or never was */
	uint32_t phase;		/* enum phase */
	uint32_t end;		/* enum end */
	uint32_t bar;
	uint32_t flags;		/* SLICE_* */
	uint32_t wanted;	/* index, or ANY_INDEX */
	uint32_t index;
	uint32_t count;		/* of the array */
	uint32_t seconds;	/* from the grant on; 0: no limit */
	uint32_t max_seconds;
	char bdf[16];
	char slice[64];
	struct actions actions;	/* of the configuration under which it was granted */
};

struct client_record {
	uint64_t id;
	uint64_t watch;		/* serial of its request to be sent what happens; 0: none */
	char name[64];
};

struct device_record {
	char bdf[16];
	bool prepared;		/* since it was opened, the actions of all slices have run */
};

#endif
