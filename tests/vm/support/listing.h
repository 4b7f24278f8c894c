/* SPDX-License-Identifier: MIT */
/* The driver's list of a device's buffers in debugfs. */
#ifndef TESTS_LISTING_H
#define TESTS_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct listed {
	unsigned int bar;
	char kind[8];		/* "bar", "slice" */
	char state[16];		/* "live", "suspended", "revoked" */
	char mode[4];		/* "ro", "rw" */
	unsigned int mappings;
	uint64_t size;
	char name[160];
	char ranges[512];
	char memattr[4];	/* "nc", "wc" */
	unsigned int importers;	/* their mappings */
	uint64_t inode;
};

/* Reads the list; how many buffers it has, of which the first @room are stored. */
size_t listing_read(const char *bdf, struct listed *buffers, size_t room);
/* The one buffer with these ranges; false if there is none. */
bool listing_find(const char *bdf, const char *kind, const char *ranges,
		  struct listed *buffer);

#endif
