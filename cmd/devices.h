/* SPDX-License-Identifier: MIT */
/* The broker's devices, as several commands print them. */
#ifndef CMD_DEVICES_H
#define CMD_DEVICES_H

#include <jansson.h>
#include <stdio.h>
#include <vfio-dmabuf.h>

/* An array of objects, filled by vdb_client_devices(). */
bool devices_add(const struct vdb_device_info *info, void *list);
/* A table of such an array.  Below it: why devices are not open. */
void devices_print(json_t *list);

#endif
