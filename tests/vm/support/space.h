/* SPDX-License-Identifier: MIT */
/* The IO address space of the owner's device, and memory in it. */
#ifndef TESTS_SPACE_H
#define TESTS_SPACE_H

#include <stddef.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

/* That of a device which the library has opened. */
struct vdb_dma *space_of(const struct vdb_device *device);
/* Memory in it, VDB_FLAG_* flags; the test fails if there is none. */
struct vdb_slice *space_alloc(struct vdb_dma *dma, uint64_t length, unsigned int flags);

/* The test fails if one of @length bytes is not @with. */
void check_filled(const void *at, unsigned char with, size_t length);

#endif
