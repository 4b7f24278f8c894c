// SPDX-License-Identifier: MIT
/* A device of the lab, opened through VFIO: regions, config space, reset. */
#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/vfio_nodes.h"
#include "suite.h"
#include "sysfs.h"

/*
 * A test that failed leaves processes that still hold the device.  They were killed,
 * but no event reports when their last reference is put.
 */
static int open_when_free(const char *path)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	int fd, tries;

	for (tries = 0; tries < 1000; tries++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 || errno != EBUSY)
			break;
		nanosleep(&pause, NULL);
	}
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

void device_open_group(struct device *dev, const char *bdf)
{
	struct vfio_nodes nodes;

	dev->bdf = bdf;
	dev->fd = -1;
	vfio_nodes_find(bdf, &nodes);
	ck_assert_msg(*nodes.group, "%s is not in an IOMMU group", bdf);
	dev->group = open_when_free(nodes.group);

	dev->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	ck_assert_works(dev->container);
	ck_assert_works(ioctl(dev->group, VFIO_GROUP_SET_CONTAINER,
			      &dev->container));
	ck_assert_works(ioctl(dev->container, VFIO_SET_IOMMU,
			      VFIO_TYPE1v2_IOMMU));
}

void device_open_bdf(struct device *dev, const char *bdf, const char *options)
{
	device_open_group(dev, bdf);
	dev->fd = device_get_fd(dev, options);
	ck_assert_works(dev->fd);
}

void device_open(struct device *dev, const char *name)
{
	const char *bdf = lab_bdf(name);

	driver_rebind(bdf);
	device_open_bdf(dev, bdf, "");
}

void device_open_sibling(struct device *dev, const struct device *first,
			 const char *name)
{
	dev->bdf = lab_bdf(name);
	dev->group = dup(first->group);
	dev->container = dup(first->container);
	dev->fd = device_get_fd(dev, "");
	ck_assert_works(dev->fd);
}

void device_open_beside(struct device *dev, const struct device *first, const char *name)
{
	struct vfio_nodes nodes;

	dev->bdf = lab_bdf(name);
	driver_rebind(dev->bdf);
	vfio_nodes_find(dev->bdf, &nodes);
	dev->group = open_when_free(nodes.group);
	dev->container = dup(first->container);
	ck_assert_works(ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &dev->container));
	dev->fd = device_get_fd(dev, "");
	ck_assert_works(dev->fd);
}

int device_get_fd(const struct device *dev, const char *options)
{
	char request[128];

	snprintf(request, sizeof(request), "%s%s", dev->bdf, options);
	return ioctl(dev->group, VFIO_GROUP_GET_DEVICE_FD, request);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void device_close(struct device *dev)
{
	close_fd(&dev->fd);
	close_fd(&dev->group);
	close_fd(&dev->container);
}

const char *device_cdev_missing(void)
{
	if (access("/dev/iommu", R_OK | W_OK))
		return "this kernel has no iommufd";
	if (access("/dev/vfio/devices", R_OK))
		return "this kernel has no VFIO device cdev";
	return NULL;
}

void device_vfio_name(const char *bdf, char *name, size_t size)
{
	struct vfio_nodes nodes;

	vfio_nodes_find(bdf, &nodes);
	ck_assert_msg(*nodes.device, "%s has no character device", bdf);
	snprintf(name, size, "%s", strrchr(nodes.device, '/') + 1);
}

void device_open_cdev(struct device *dev, const char *name)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_nodes nodes;

	dev->bdf = lab_bdf(name);
	dev->group = -1;
	driver_rebind(dev->bdf);
	vfio_nodes_find(dev->bdf, &nodes);
	dev->fd = open_when_free(nodes.device);
	dev->container = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ck_assert_works(dev->container);

	bind.iommufd = dev->container;
	ck_assert_works(ioctl(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	ck_assert_works(ioctl(dev->container, IOMMU_IOAS_ALLOC, &alloc));
	attach.pt_id = alloc.out_ioas_id;
	ck_assert_works(ioctl(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
}

struct vfio_region_info device_region(const struct device *dev, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	ck_assert_works(ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info));
	return info;
}

uint64_t device_bar_size(const struct device *dev, uint32_t bar)
{
	return device_region(dev, bar).size;
}

void *device_try_map(const struct device *dev, uint32_t bar, uint64_t offset,
		     size_t length, int prot, int flags)
{
	struct vfio_region_info region = device_region(dev, bar);

	return mmap(NULL, length, prot, flags, dev->fd,
		    (off_t)(region.offset + offset));
}

void *device_map(const struct device *dev, uint32_t bar, uint64_t offset,
		 size_t length)
{
	void *map = device_try_map(dev, bar, offset, length,
				   PROT_READ | PROT_WRITE, MAP_SHARED);

	ck_assert_msg(map != MAP_FAILED, "mmap of %s BAR %u at %#jx, %#zx bytes: %s",
		      dev->bdf, bar, (uintmax_t)offset, length, strerror(errno));
	return map;
}

int device_peek(const struct device *dev, uint32_t region, uint64_t offset,
		void *data, size_t size)
{
	off_t at = (off_t)(device_region(dev, region).offset + offset);

	return pread(dev->fd, data, size, at) == (ssize_t)size ? 0 : -1;
}

int device_poke(const struct device *dev, uint32_t region, uint64_t offset,
		const void *data, size_t size)
{
	off_t at = (off_t)(device_region(dev, region).offset + offset);

	return pwrite(dev->fd, data, size, at) == (ssize_t)size ? 0 : -1;
}

uint32_t config_read(const struct device *dev, unsigned int offset, int size)
{
	uint32_t value = 0;

	ck_assert_works(device_peek(dev, VFIO_PCI_CONFIG_REGION_INDEX, offset,
				    &value, size));
	return value;
}

void config_write(const struct device *dev, unsigned int offset, int size,
		  uint32_t value)
{
	ck_assert_works(device_poke(dev, VFIO_PCI_CONFIG_REGION_INDEX, offset,
				    &value, size));
}

unsigned int config_find_cap(const struct device *dev, unsigned int id)
{
	unsigned int at = config_read(dev, PCI_CAPABILITY_LIST, 1);

	while (at && config_read(dev, at + PCI_CAP_LIST_ID, 1) != id)
		at = config_read(dev, at + PCI_CAP_LIST_NEXT, 1);
	return at;
}

void device_set_memory(const struct device *dev, bool enable)
{
	uint32_t command = config_read(dev, PCI_COMMAND, 2);

	if (enable)
		command |= PCI_COMMAND_MEMORY;
	else
		command &= ~PCI_COMMAND_MEMORY;
	config_write(dev, PCI_COMMAND, 2, command);
}

void device_set_power(const struct device *dev, unsigned int d_state)
{
	unsigned int pm = config_find_cap(dev, PCI_CAP_ID_PM);
	uint32_t control;

	ck_assert_msg(pm, "%s has no power management capability", dev->bdf);
	control = config_read(dev, pm + PCI_PM_CTRL, 2);
	control &= ~PCI_PM_CTRL_STATE_MASK;
	config_write(dev, pm + PCI_PM_CTRL, 2, control | d_state);
}

int device_reset(const struct device *dev)
{
	return ioctl(dev->fd, VFIO_DEVICE_RESET);
}

int device_feature(const struct device *dev, uint32_t flags)
{
	struct vfio_device_feature feature = {
		.argsz = sizeof(feature),
		.flags = flags,
	};

	return ioctl(dev->fd, VFIO_DEVICE_FEATURE, &feature);
}
