/* SPDX-License-Identifier: MIT */
/* Addresses of a function's BARs, from its file "resource" in /sys. */
#ifndef CMD_RESOURCE_H
#define CMD_RESOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

/* Flags, of <linux/ioport.h>. */
#define RESOURCE_MEM		0x200
#define RESOURCE_PREFETCH	0x2000
#define RESOURCE_MEM_64		0x100000

struct resource {
	uint64_t start, end, flags;	/* @end is the last byte; all 0: the BAR does not exist */
};

/* False: it cannot be read.  @root: the directory of /sys, "" except in tests. */
bool resources_read(const char *root, const char *bdf, struct resource bars[VDB_BARS]);

#endif
