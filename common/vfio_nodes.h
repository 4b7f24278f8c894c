/* SPDX-License-Identifier: MIT */
/*
 * The nodes in /dev through which a function can be opened: its character device with
 * /dev/iommu, or its IOMMU group with /dev/vfio/vfio.
 */
#ifndef COMMON_VFIO_NODES_H
#define COMMON_VFIO_NODES_H

#include <stdbool.h>

#define VFIO_PATH	64	/* bytes of a path, with its NUL */

struct vfio_nodes {
	char device[VFIO_PATH];	/* "/dev/vfio/devices/vfio0"; "": the kernel has no character device for it */
	char group[VFIO_PATH];	/* "/dev/vfio/7"; "": it is in no group */
};

void vfio_nodes_find(const char *bdf, struct vfio_nodes *nodes);
/*
 * Whether the character device is the one to try first.  A node in a directory that this
 * user cannot search may exist.
 */
bool vfio_nodes_has_device(const struct vfio_nodes *nodes);

#endif
