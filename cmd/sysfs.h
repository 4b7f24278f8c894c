/* SPDX-License-Identifier: MIT */
/* PCI functions, as sysfs shows them. */
#ifndef CMD_SYSFS_H
#define CMD_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <vfio-dmabuf.h>

#include "common/function.h"

#define DRIVER	"dmabuf-vfio-pci"

struct function {
	char bdf[16];
	unsigned int class;	/* 24 bits */
	unsigned int vendor, device;
	char driver[64];	/* "" if none */
	char group[32];		/* IOMMU group, "" if none */
	char name[256];		/* vendor and device, from the PCI ids */
	struct vdb_bar bars[VDB_BARS];
};

/* False: the function does not exist. */
bool function_read(const char *bdf, struct function *function);
/* All of them, sorted; the caller frees *list. */
size_t function_all(struct function **list);
/* The physical address at which each BAR begins; 0 if it is not known. */
void function_bar_addresses(const char *bdf, uint64_t addresses[VDB_BARS]);
bool function_is_bridge(const struct function *function);

/* Files of sysfs and /proc: 0 or -1 with errno; text is cut to fit. */
int file_get(const char *path, char *text, size_t size);
int file_put(const char *path, const char *text);
/* The number of a device, from its file "dev" in sysfs; 0 if there is none. */
dev_t device_number(const char *path);
/* Of a function, as function_path() names them. */
int function_get(const char *bdf, const char *file, char *text, size_t size);
int function_put(const char *bdf, const char *file, const char *text);

#endif
