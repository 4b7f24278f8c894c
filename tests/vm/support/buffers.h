/* SPDX-License-Identifier: MIT */
/*
 * A device's buffers, as the kernel lists them to a holder of the device fd, and calls
 * that name one by its id.  Each call is one ioctl: 0 (or what is stated), or -1 with
 * errno.
 */
#ifndef TESTS_BUFFERS_H
#define TESTS_BUFFERS_H

#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>
#include <linux/vfio_dmabuf.h>

#include "device.h"

/* How many were filled in. */
int buffers_list(const struct device *dev, uint64_t after,
		 struct vfio_dmabuf_buffer *buffers, uint32_t room);
/* All of them, in pages of that many; how many there are, of which @most are stored. */
size_t buffers_list_all(const struct device *dev, uint32_t page,
			struct vfio_dmabuf_buffer *buffers, size_t most);
/* An element with that id; NULL if there is none. */
const struct vfio_dmabuf_buffer *buffers_find(const struct vfio_dmabuf_buffer *buffers,
					      size_t nr, uint64_t id);

/* By fd, or by id if that is -1. */
int buffer_info(const struct device *dev, int fd, uint64_t id,
		struct vfio_dmabuf_buffer *buffer);
/* How many were filled in. */
int buffer_ranges(const struct device *dev, uint64_t id, uint64_t first,
		  struct vfio_region_dma_range *ranges, uint32_t room);
/* The id of a slice; the test fails if it has none. */
uint64_t buffer_id(const struct device *dev, int fd);
int buffer_revoke(const struct device *dev, int fd, uint64_t id);
/* The event fd. */
int buffer_events(const struct device *dev, int fd, uint64_t id, uint32_t flags);

#endif
