/* SPDX-License-Identifier: MIT */
/* The instructions of a kernel module that call functions outside of it. */
#ifndef TESTS_CALLSITES_H
#define TESTS_CALLSITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __aarch64__
#define CALLSITE_SIZE	4	/* bytes of the instruction */
#else
#define CALLSITE_SIZE	5
#endif

struct callsite {
	char function[64];	/* the function that has it, after inlining */
	char callee[64];
	char section[32];
	uint64_t offset;	/* of the instruction in its section */
};

/* Where the file of a module of the image is; the buffer is static. */
const char *module_file(const char *name);
/* All sites of a module's file, to be freed; false with errno if it cannot be read. */
bool callsites_read(const char *path, struct callsite **sites, size_t *nr);
/* Where a section of the loaded module is, and 0 if nowhere (any more). */
uint64_t section_address(const char *module, const char *section);
/* Bytes of a section of a module's file. */
uint64_t section_size(const char *path, const char *section);

#endif
