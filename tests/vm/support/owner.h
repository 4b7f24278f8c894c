/* SPDX-License-Identifier: MIT */
/* An owner that uses the library: its device, and slices of it. */
#ifndef TESTS_OWNER_H
#define TESTS_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

/* What the functions below are about. */
extern struct vdb_device *owner;

/* Opens a device of the lab; each fails the test if it cannot. */
void owner_open(const char *name);
void owner_open_edu(void);
void owner_open_nvme(void);
void owner_open_ivshmem(void);

/* A slice of one range, VDB_* flags. */
struct vdb_slice *owner_export(unsigned int bar, uint64_t offset, uint64_t length,
			       unsigned int flags);
/* The first page of BAR 0, watched, and with all events read. */
struct vdb_slice *owner_export_watched(void);
/* All of a slice, mapped. */
void *owner_map(const struct vdb_slice *slice, int prot);
/* Whether the slice's event fd is readable, and the events of poll(). */
bool event_readable(const struct vdb_slice *slice, int *revents);

#endif
