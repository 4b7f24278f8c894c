/* SPDX-License-Identifier: MIT */
/* A device.  Its slices can be leased while it is open. */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "ranges.h"

enum device_phase {
	DEVICE_ABSENT,		/* not open; it is opened when it appears, or after a pause */
	DEVICE_OPENING,
	DEVICE_SETTLING,	/* open; unknown buffers are revoked, then it is prepared */
	DEVICE_OPEN,
	DEVICE_CLOSING,		/* lost; its leases end when it is closed */
};

struct device {
	struct device_record r;
	uint32_t number;
	enum device_phase phase;
	bool configured;		/* the catalogue has it */
	bool suspended;
	bool changed;			/* waiting leases can perhaps be granted now */
	const char *failed;		/* why it is lost at the end of this event, or NULL */
	const char *why;		/* why it is not open; NULL: not known */
	uint64_t patience;
	uint64_t deadline;		/* of its phase; 0: none */
	uint64_t pause;			/* before it is opened again */
	uint32_t unsettled;		/* unknown buffers that are being revoked */
	uint32_t nr_leases;
	uint32_t nr_taking;		/* leases that take bytes */
	struct lease *waiting;
	struct ranges taken[2];		/* by shared, and exclusive, leases */
	struct ranges claimed[2];	/* by waiting leases; only while granting */
};

/* Whether leases can wait for it. */
static inline bool device_is_coming(const struct device *device)
{
	return device->phase == DEVICE_OPENING || device->phase == DEVICE_SETTLING ||
	       device->phase == DEVICE_OPEN;
}

#endif
