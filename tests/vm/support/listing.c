// SPDX-License-Identifier: MIT
/* The driver's list of a device's buffers in debugfs. */
#define _GNU_SOURCE
#include "listing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define DIRECTORY "/sys/kernel/debug/dmabuf-vfio-pci"
#define MOST 512

size_t listing_read(const char *bdf, struct listed *buffers, size_t room)
{
	struct listed entry;
	char path[128];
	char *line = NULL;
	size_t size = 0, n = 0;
	FILE *file;

	snprintf(path, sizeof(path), DIRECTORY "/%s/buffers", bdf);
	file = fopen(path, "re");
	ck_assert_msg(file, "%s: %s", path, strerror(errno));
	ck_assert_msg(getline(&line, &size, file) > 0 && line[0] == '#',
		      "%s does not start with a header", path);
	while (getline(&line, &size, file) >= 0) {
		ck_assert_msg(sscanf(line, "%u %7s %15s %3s %u %" SCNx64 " %159s %511s %3s %u %" SCNu64,
				     &entry.bar, entry.kind, entry.state,
				     entry.mode, &entry.mappings, &entry.size,
				     entry.name, entry.ranges, entry.memattr,
				     &entry.importers, &entry.inode) == 11,
			      "%s: not a buffer: %s", path, line);
		if (n < room)
			buffers[n] = entry;
		n++;
	}
	free(line);
	fclose(file);
	return n;
}

bool listing_find(const char *bdf, const char *kind, const char *ranges,
		  struct listed *buffer)
{
	static struct listed all[MOST];
	size_t n = listing_read(bdf, all, MOST), i;

	for (i = 0; i < n && i < MOST; i++) {
		if (strcmp(all[i].kind, kind) || strcmp(all[i].ranges, ranges))
			continue;
		*buffer = all[i];
		return true;
	}
	return false;
}
