/* SPDX-License-Identifier: MIT */
/* A device of the lab, opened through VFIO: regions, config space, reset. */
#ifndef TESTS_DEVICE_H
#define TESTS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/vfio.h>

struct device {
	const char *bdf;
	int fd;
	int group;	/* -1 if opened through the cdev */
	int container;	/* or the iommufd */
};

/* Opens a device of the lab by its name there, in a container of its own. */
void device_open(struct device *dev, const char *name);
/* Opens any device; @options as for the group's ioctl. */
void device_open_bdf(struct device *dev, const char *bdf, const char *options);
/* Its group and container without a device fd, which device_get_fd() may get. */
void device_open_group(struct device *dev, const char *bdf);
/* Opens another device of the same group. */
void device_open_sibling(struct device *dev, const struct device *first,
			 const char *name);
/* Opens a device of another group in the same container. */
void device_open_beside(struct device *dev, const struct device *first, const char *name);
/* One more fd of a device, or -1 with errno. */
int device_get_fd(const struct device *dev, const char *options);
/* Closes all fds of it that are still open. */
void device_close(struct device *dev);

/* Why the cdev cannot be used here; NULL if it can. */
const char *device_cdev_missing(void);
void device_open_cdev(struct device *dev, const char *name);

/* Name of the VFIO device, "vfio0" for instance. */
void device_vfio_name(const char *bdf, char *name, size_t size);

struct vfio_region_info device_region(const struct device *dev, uint32_t index);
uint64_t device_bar_size(const struct device *dev, uint32_t bar);
/* mmap() of a part of a BAR; MAP_FAILED with errno. */
void *device_try_map(const struct device *dev, uint32_t bar, uint64_t offset,
		     size_t length, int prot, int flags);
/* The same, shared and writable; the test fails if it does. */
void *device_map(const struct device *dev, uint32_t bar, uint64_t offset,
		 size_t length);
/* Any size up to 8 by pread() and pwrite() at the device fd; 0 or -1. */
int device_peek(const struct device *dev, uint32_t region, uint64_t offset,
		void *data, size_t size);
int device_poke(const struct device *dev, uint32_t region, uint64_t offset,
		const void *data, size_t size);

uint32_t config_read(const struct device *dev, unsigned int offset, int size);
void config_write(const struct device *dev, unsigned int offset, int size,
		  uint32_t value);
/* Offset of a capability in config space, 0 if the device has none such. */
unsigned int config_find_cap(const struct device *dev, unsigned int id);

void device_set_memory(const struct device *dev, bool enable);
void device_set_power(const struct device *dev, unsigned int d_state);
/* VFIO_DEVICE_RESET; 0, or -1 with errno. */
int device_reset(const struct device *dev);
/* VFIO_DEVICE_FEATURE without data. */
int device_feature(const struct device *dev, uint32_t flags);

#endif
