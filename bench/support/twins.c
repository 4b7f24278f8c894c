// SPDX-License-Identifier: MIT
/* Two devices of one model, one driven by stock vfio-pci, the other by ours. */
#define _GNU_SOURCE
#include "twins.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "suite.h"
#include "sysfs.h"

#define STOCK "vfio-pci"

static void bind_stock(const char *bdf)
{
	char name[64];

	ck_assert_msg(!system("modprobe " STOCK), "%s cannot be loaded", STOCK);
	if (function_link(bdf, "driver", name, sizeof(name)) && strcmp(name, STOCK))
		ck_assert_works(driver_unbind(bdf));
	ck_assert_works(sysfs_write(bdf, "driver_override", STOCK));
	ck_assert_works(file_write("/sys/bus/pci/drivers_probe", bdf));
	ck_assert_msg(function_link(bdf, "driver", name, sizeof(name)) &&
		      !strcmp(name, STOCK), "%s does not bind %s", STOCK, bdf);
}

/* device_open() would give the device to our driver. */
static void open_stock(struct device *dev, const char *name)
{
	struct device first = { .bdf = lab_bdf(name) };
	char number[16], path[64];

	bind_stock(first.bdf);
	ck_assert_msg(function_link(first.bdf, "iommu_group", number, sizeof(number)),
		      "%s is not in an IOMMU group", first.bdf);
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	first.group = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_msg(first.group >= 0, "%s: %s", path, strerror(errno));
	first.container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	ck_assert_works(first.container);
	ck_assert_works(ioctl(first.group, VFIO_GROUP_SET_CONTAINER,
			      &first.container));
	ck_assert_works(ioctl(first.container, VFIO_SET_IOMMU,
			      VFIO_TYPE1v2_IOMMU));
	device_open_sibling(dev, &first, name);
	close(first.group);
	close(first.container);
}

void twins_open(struct twins *twins, const char *ours, const char *stock)
{
	device_open(&twins->ours, ours);
	open_stock(&twins->stock, stock);
}

struct part part_of_bar(const struct device *dev, uint32_t bar,
			uint64_t offset, uint64_t length)
{
	return (struct part){
		.fd = dev->fd,
		.offset = device_region(dev, bar).offset + offset,
		.length = length,
	};
}
