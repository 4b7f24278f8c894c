/* SPDX-License-Identifier: MIT */
/* The lab's device names, and operations on devices through sysfs. */
#ifndef TESTS_SYSFS_H
#define TESTS_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/function.h"

#define DRIVER "dmabuf-vfio-pci"

/*
 * Address of a device of the lab, "EDU" for instance, or another of its
 * values; NULL if there is none.
 */
const char *lab_find(const char *name);
/* The same, but the test fails if there is none. */
const char *lab_bdf(const char *name);

/* 0, or -1 with errno. */
int file_write(const char *path, const char *text);
/* Reads a whole file, the end cut to fit; its length, or -1 with errno. */
long file_read(const char *path, char *text, size_t size);

/* Writes to a file of the device in sysfs; 0, or -1 with errno. */
int sysfs_write(const char *bdf, const char *file, const char *text);

int driver_unbind(const char *bdf);
/* Gives a device to a driver, wherever it is; the test fails if it cannot. */
void driver_bind(const char *bdf, const char *driver);
/* Puts it back to the driver that is tested. */
void driver_rebind(const char *bdf);
bool driver_bound(const char *bdf);

#endif
