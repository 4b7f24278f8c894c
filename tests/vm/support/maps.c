// SPDX-License-Identifier: MIT
/* The lines of /proc/self/maps. */
#define _GNU_SOURCE
#include "maps.h"

#include <stdio.h>

#include "suite.h"

bool maps_find(const void *address, struct maps_line *line)
{
	uintptr_t at = (uintptr_t)address;
	bool found = false;
	char text[512];
	FILE *maps;

	maps = fopen("/proc/self/maps", "re");
	ck_assert_ptr_nonnull(maps);
	while (!found && fgets(text, sizeof(text), maps)) {
		line->name[0] = '\0';
		if (sscanf(text, "%lx-%lx %4s %lx %*s %*u %127s", &line->start,
			   &line->end, line->mode, &line->offset, line->name) < 4)
			continue;
		found = at >= line->start && at < line->end;
	}
	fclose(maps);
	return found;
}
