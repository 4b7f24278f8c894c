/* SPDX-License-Identifier: MIT */
/* PCI functions in sysfs. */
#ifndef COMMON_FUNCTION_H
#define COMMON_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>

/* "/sys/bus/pci/devices/<bdf>/<file>". */
void function_path(const char *bdf, const char *file, char *path, size_t size);
/*
 * Reads a link of the function, for example "driver".  @name receives the last part of the
 * link's target: for "driver", the name of the driver.  Returns false if the
 * link does not exist, or if the name does not fit.
 */
bool function_link(const char *bdf, const char *link, char *name, size_t size);

#endif
