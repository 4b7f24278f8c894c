/* SPDX-License-Identifier: MIT */
/* The driver's module, on disk and in the kernel. */
#ifndef CMD_DOCTOR_MODULE_FILE_H
#define CMD_DOCTOR_MODULE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define MODULE_FILES	8	/* further files are left out */

struct module_file {
	char path[256];
	char description[128];
	char version[32];
	char source[64];	/* a hash of its source, "srcversion" */
	bool is_signed;
	char signer[128];	/* owner of the key that has signed it; "": not known */
};

/* Parses what modinfo(8) prints about it. */
void parse_modinfo(const char *text, struct module_file *file);
/* Whether a file is a module of this name; "-" and "_" are the same. */
bool is_module_file(const char *base, const char *name);
/*
 * What modprobe(8) would do last for a module, from the output of its -D:
 * the path of the file, or the command of "install" in modprobe.d.
 */
void parse_depends(const char *text, char *what, size_t size);

struct modules {
	struct module_file files[MODULE_FILES];	/* with the driver's name, for the running kernel */
	size_t nr;
	char chosen[256];	/* what modprobe would do; "": nothing */
	bool loaded;		/* a module with the name is loaded */
	bool registered;	/* the driver is registered */
	char loaded_source[64], loaded_version[32];
};

void modules_read(struct modules *modules);
/* The file that modprobe would load, or NULL. */
const struct module_file *modules_chosen(const struct modules *modules);

#endif
