/* SPDX-License-Identifier: MIT */
/* The driver's module, as a file and as it is loaded. */
#ifndef CMD_DOCTOR_MODULE_FILE_H
#define CMD_DOCTOR_MODULE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define MODULE_FILES	8	/* of which the rest is left out */

struct module_file {
	char path[256];
	char description[128];
	char version[32];
	char source[64];	/* a sum of its source, "srcversion" */
	bool is_signed;
	char signer[128];	/* whose key has signed it; "": not known */
};

/* From what modinfo(8) prints of it. */
void parse_modinfo(const char *text, struct module_file *file);
/* Whether a file is a module of this name; "-" and "_" are the same. */
bool is_module_file(const char *base, const char *name);
/*
 * What modprobe(8) would do in the end for a module, from what its -D
 * prints: the path of the file, or the command of "install" in modprobe.d.
 */
void parse_depends(const char *text, char *what, size_t size);

struct modules {
	struct module_file files[MODULE_FILES];	/* of the driver's name, for the kernel that runs */
	size_t nr;
	char chosen[256];	/* what modprobe would do; "": nothing */
	bool loaded;		/* a module of the name */
	bool registered;	/* the driver */
	char loaded_source[64], loaded_version[32];
};

void modules_read(struct modules *modules);
/* The file that modprobe would load, or NULL. */
const struct module_file *modules_chosen(const struct modules *modules);

#endif
