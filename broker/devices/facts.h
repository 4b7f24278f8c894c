/* SPDX-License-Identifier: MIT */
/* Properties of a device, and whether the configuration fits it. */
#ifndef DEVICES_FACTS_H
#define DEVICES_FACTS_H

#include "catalogue.h"

#define BARS	6

struct facts {
	uint64_t page;			/* bytes */
	struct {
		uint64_t size;		/* bytes; 0: no such BAR */
		bool mappable;
	} bars[BARS];
	bool can_be_reset;
	bool memory;			/* slices can have memory; if not: why */
	char no_memory[128];
	bool direct;			/* the driver can export and revoke without waiting */
};

/* If not, @why is like "nic/doorbell: it ends at 0x3000, BAR 0 of 0000:01:00.0 at 0x2000". */
bool facts_fit(const struct facts *facts, const char *bdf, const struct slice *slice, char *why,
	       size_t size);

#endif
