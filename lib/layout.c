/* SPDX-License-Identifier: MIT */
/*
 * Checks that the structs of ioctls, event files and messages have the same layout in
 * 32-bit and 64-bit programs.  If there is a difference, this file does not compile for
 * one of them.
 *
 * If nothing is padded, a member's offset is the sum of the sizes before it, regardless
 * of how the CPU aligns 64-bit integers.  A member whose own size differs, such as a
 * pointer, changes the size of its struct.
 */
#include <assert.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC diagnostic error "-Wpadded"
#include <linux/vfio_dmabuf.h>

#include "vfio-dmabuf-protocol.h"

/* The sizes of messages are in their header. */
static_assert(sizeof(struct vfio_region_dma_range) == 16, "ioctl");
static_assert(sizeof(struct vfio_device_feature_dma_buf) == 16, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_feature_export) == 48, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_feature_revoke) == 16, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_buffer) == 64, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_feature_list) == 24, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_feature_info) == 96, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_feature_memattr) == 8, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_feature_events) == 16, "ioctl");
static_assert(sizeof(struct vfio_dmabuf_event) == 16, "event file");

/* A slice can be larger than 2 GiB, and so can its file: -D_FILE_OFFSET_BITS=64. */
static_assert(sizeof(off_t) == 8, "offsets in files need 64 bits");
