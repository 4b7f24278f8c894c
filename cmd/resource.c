/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "resource.h"

bool resources_read(const char *root, const char *bdf, struct resource bars[VDB_BARS])
{
	char path[PATH_MAX];
	FILE *file;

	memset(bars, 0, VDB_BARS * sizeof(*bars));
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/resource", root, bdf);
	file = fopen(path, "re");
	if (!file)
		return false;
	for (int i = 0; i < VDB_BARS; i++) {
		struct resource bar;

		if (fscanf(file, "%" SCNx64 " %" SCNx64 " %" SCNx64, &bar.start, &bar.end, &bar.flags) != 3)
			break;
		if (bar.end)
			bars[i] = bar;
	}
	fclose(file);
	return true;
}
