/* SPDX-License-Identifier: MIT */
/* Parses text of users and of the kernel. */
#ifndef CMD_PARSE_H
#define CMD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A whole number, decimal or 0x...; false for anything else.  A decimal number that
 * begins with 0 is rejected, because it may be meant as octal.
 */
bool parse_number(const char *text, uint64_t *number);
/* The same, or a decimal number of K, M, G or T (of 1024 each). */
bool parse_size(const char *text, uint64_t *bytes);
/* The same, or a decimal number of s, m, h or d. */
bool parse_seconds(const char *text, uint64_t *seconds);

/* What registers are accessed through. */
struct target {
	bool direct;		/* a BAR of a function, without the broker */
	char bdf[16];
	unsigned int bar;
	char slice[64];		/* "<device>/<slice>" */
	uint32_t index;		/* VDB_ANY_INDEX if none is given */
};

/* "0000:01:00.0/2" is BAR 2 of a function; "nic/doorbell" and "nic/doorbell[3]" are slices. */
bool parse_target(const char *text, struct target *target);

#define MAX_RANGES	16

/* A line of the module's list of buffers. */
struct buffer {
	unsigned int bar;
	bool slice;		/* or a BAR mapping */
	char state[16];
	bool read_only;
	int mappings;
	uint64_t size;
	char memattr[8];
	int importers;
	uint64_t inode;		/* of its mappings */
	size_t nr_ranges, nr_known;	/* the first that the module shows */
	struct {
		uint64_t offset, length;
	} ranges[MAX_RANGES];
};

bool parse_buffer(const char *line, struct buffer *buffer);

/* A line of /proc/<pid>/maps that maps a DMABUF. */
struct mapping {
	uint64_t inode;
	uint64_t offset, length;	/* the offset is in the BAR, if the DMABUF has one range of it */
	bool writable;
	char bdf[16];			/* from its name, which holders of its fd can change; "" if it has another */
	unsigned int bar;
};

bool parse_mapping(const char *line, struct mapping *mapping);

#endif
