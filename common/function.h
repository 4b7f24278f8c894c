/* SPDX-License-Identifier: MIT */
/* PCI functions in sysfs. */
#ifndef COMMON_FUNCTION_H
#define COMMON_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>

/* "/sys/bus/pci/devices/<bdf>/<file>". */
void function_path(const char *bdf, const char *file, char *path, size_t size);
/* The last part of a link's target: for "driver", the driver's name.  False if there is no link. */
bool function_link(const char *bdf, const char *link, char *name, size_t size);

#endif
