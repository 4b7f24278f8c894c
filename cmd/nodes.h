/* SPDX-License-Identifier: MIT */
/*
 * What belongs to a PCI function: device nodes, and other functions that depend on it.
 *
 * Everything is read below @root, which is "" except in tests.
 */
#ifndef CMD_NODES_H
#define CMD_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct node {
	bool block;
	dev_t number;
	char name[64];		/* the kernel's, below /dev: "nvme0n1", "dri/card0" */
};

struct nodes {
	struct node *list;
	size_t nr;
};

/*
 * The nodes of /sys/dev whose path goes through the function, at any depth, and those
 * of an NVMe subsystem of which the function is a controller.  -1 with errno if they
 * cannot be read.  The caller frees @nodes in both cases.
 */
int nodes_find(const char *root, const char *bdf, struct nodes *nodes);
void nodes_free(struct nodes *nodes);

/*
 * The function that a user names by a BDF, a network interface or a device node:
 * "0000:01:00.0", "eth1", "/dev/nvme0".  False if it is not exactly one function.
 */
bool function_find(const char *root, const char *name, char bdf[16]);

/* Calls @each for the virtual functions of a physical one, until it returns true. */
bool function_any_virtual(const char *root, const char *bdf, bool (*each)(const char *bdf, void *data), void *data);

#endif
