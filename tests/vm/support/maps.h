/* SPDX-License-Identifier: MIT */
/* The lines of /proc/self/maps. */
#ifndef TESTS_MAPS_H
#define TESTS_MAPS_H

#include <stdbool.h>
#include <stdint.h>

struct maps_line {
	uintptr_t start, end;
	uint64_t offset;
	char mode[5];
	char name[128];
};

/* The line of the mapping that holds an address of this process. */
bool maps_find(const void *address, struct maps_line *line);

#endif
