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
	char device[VFIO_PATH];	/* "/dev/vfio/devices/vfio0"; "": the function has no character device */
	char group[VFIO_PATH];	/* "/dev/vfio/7"; "": the function does not have a group */
};

void vfio_nodes_find(const char *bdf, struct vfio_nodes *nodes);
/*
 * Whether to try the character device first.  A node can exist even if this user cannot
 * search its directory.
 */
bool vfio_nodes_has_device(const struct vfio_nodes *nodes);

#endif
