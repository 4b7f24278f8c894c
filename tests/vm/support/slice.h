/* SPDX-License-Identifier: MIT */
/* Slices: exporting, mapping and revoking them. */
#ifndef TESTS_SLICE_H
#define TESTS_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>
#include <linux/vfio_dmabuf.h>

#include "device.h"

/* The feature ioctl; the fd, or -1 with errno. */
int slice_export(const struct device *dev, uint32_t bar, uint32_t open_flags,
		 const struct vfio_region_dma_range *ranges, uint32_t nr);
/* A writable slice of one range; the test fails if there is none. */
int slice_new(const struct device *dev, uint32_t bar, uint64_t offset,
	      uint64_t length);
/* Maps a slice shared and writable; the test fails if it does. */
void *slice_map(int fd, size_t offset, size_t length);
/*
 * Whether mappings can have huge pages, of a BAR or of a slice.  No mapping can on a
 * kernel without transparent huge pages, and slices can on Linux 7.3 only.  Otherwise
 * one fault brings in the same pages as small ones.
 */
bool mapping_can_be_huge(bool slice);
bool slice_can_be_huge(void);
/* 0, or -1 with errno. */
int slice_revoke(const struct device *dev, int fd);
/* EAGAIN if somebody is to be waited for. */
int slice_revoke_now(const struct device *dev, int fd);
int slice_set_memattr(const struct device *dev, int fd, uint32_t memattr);

#endif
