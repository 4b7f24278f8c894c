/* SPDX-License-Identifier: MIT */
/* The device: opened through VFIO or taken over as an fd, and what it has. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <linux/vfio_dmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

void vdb_close(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
}

bool vdb_parse_bdf(const char *text, char bdf[VDB_BDF_SIZE])
{
	unsigned int domain = 0, bus, slot, function;
	int end = -1;

	/* sscanf() alone would take spaces, signs and 0x. */
	if (text[strspn(text, "0123456789abcdefABCDEF:.")])
		return false;
	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 ||
	    end < 0 || text[end]) {
		domain = 0;
		end = -1;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 ||
		    end < 0 || text[end])
			return false;
	}
	/* A longer domain has no room in @bdf. */
	if (slot > 31 || function > 7 || domain > 0xfffffff)
		return false;
	snprintf(bdf, VDB_BDF_SIZE, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return true;
}

/* Last part of a link of the device in sysfs. */
static bool sysfs_link(const char *bdf, const char *name, char *last, size_t size)
{
	char path[128], target[512];
	const char *base;
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	base = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (strlen(base) >= size)
		return false;
	strcpy(last, base);
	return true;
}

/* "vfio0", or false if the kernel has no character devices for VFIO devices. */
static bool find_cdev(const char *bdf, char *path, size_t size)
{
	char name[128];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(name, sizeof(name), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(name);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, size, "/dev/vfio/devices/%s", entry->d_name);
		found = !access(path, F_OK);
	}
	closedir(dir);
	return found && !access("/dev/iommu", F_OK);
}

static int open_cdev(struct vdb_device *device, const char *path)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };

	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0)
		return -1;
	device->iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (device->iommu < 0)
		return -1;

	bind.iommufd = device->iommu;
	if (ioctl(device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind)) {
		/* So vfio_df_open() says that another fd is bound; nothing else can be invalid. */
		if (errno == EINVAL)
			errno = EBUSY;
		return -1;
	}
	if (ioctl(device->iommu, IOMMU_IOAS_ALLOC, &ioas))
		return -1;
	attach.pt_id = ioas.out_ioas_id;
	return ioctl(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

static int open_group(struct vdb_device *device)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char group[32], path[64];

	if (!sysfs_link(device->bdf, "iommu_group", group, sizeof(group))) {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	device->group = open(path, O_RDWR | O_CLOEXEC);
	if (device->group < 0)
		return -1;
	device->iommu = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (device->iommu < 0)
		return -1;

	if (ioctl(device->group, VFIO_GROUP_GET_STATUS, &status))
		return -1;
	/* As binding a cdev to an iommufd says of such a group. */
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		errno = EPERM;
		return -1;
	}
	if (ioctl(device->group, VFIO_GROUP_SET_CONTAINER, &device->iommu) ||
	    ioctl(device->iommu, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -1;
	device->fd = ioctl(device->group, VFIO_GROUP_GET_DEVICE_FD, device->bdf);
	return device->fd < 0 ? -1 : 0;
}

static struct vdb_device *device_new(void)
{
	struct vdb_device *device = calloc(1, sizeof(*device));

	if (device)
		device->fd = device->group = device->iommu = -1;
	return device;
}

struct vdb_device *vdb_device_open(const char *bdf)
{
	struct vdb_device *device = device_new();
	char path[300], driver[64];
	int ret;

	if (!device)
		return NULL;
	device->owned = true;
	if (!vdb_parse_bdf(bdf, device->bdf)) {
		errno = EINVAL;
		goto fail;
	}
	if (!sysfs_link(device->bdf, "driver", driver, sizeof(driver))) {
		errno = ENOENT;
		goto fail;
	}

	ret = find_cdev(device->bdf, path, sizeof(path)) ?
		open_cdev(device, path) : open_group(device);
	if (!ret)
		return device;
fail:
	vdb_device_close(device);
	return NULL;
}

/* Kernels since 6.17 tell which device an fd is. */
static void find_bdf(struct vdb_device *device)
{
	char path[64], line[512];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", device->fd);
	info = fopen(path, "re");
	if (!info)
		return;
	while (fgets(line, sizeof(line), info)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "vfio-device-syspath:", 20) && strrchr(line, '/') &&
		    vdb_parse_bdf(strrchr(line, '/') + 1, device->bdf))
			break;
	}
	fclose(info);
}

struct vdb_device *vdb_device_from_fd(int device_fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vdb_device *device;

	if (ioctl(device_fd, VFIO_DEVICE_GET_INFO, &info))
		return NULL;
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI)) {
		errno = ENODEV;
		return NULL;
	}
	device = device_new();
	if (!device)
		return NULL;
	device->fd = device_fd;
	find_bdf(device);
	return device;
}

void vdb_device_close(struct vdb_device *device)
{
	int error = errno;

	if (!device)
		return;
	if (device->owned) {
		vdb_close(device->fd);
		vdb_close(device->group);
		vdb_close(device->iommu);
	}
	free(device);
	errno = error;
}

int vdb_device_fd(const struct vdb_device *device)
{
	return device->fd;
}

int vdb_device_iommu_fd(const struct vdb_device *device)
{
	return device->iommu;
}

static bool can(const struct vdb_device *device, uint32_t feature)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | feature,
	};
	int error = errno;
	bool yes = !ioctl(device->fd, VFIO_DEVICE_FEATURE, &probe);

	errno = error;
	return yes;
}

unsigned int vdb_device_abilities(const struct vdb_device *device)
{
	unsigned int abilities = 0;

	if (can(device, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE))
		abilities |= VDB_CAN_EXPORT;
	if (can(device, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_MEMATTR))
		abilities |= VDB_CAN_WC;
	if (can(device, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS))
		abilities |= VDB_CAN_EVENTS;
	/* One came with the other. */
	if (can(device, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST))
		abilities |= VDB_CAN_LIST;
	return abilities;
}

static int region(const struct vdb_device *device, uint32_t index,
		  struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){ .argsz = sizeof(*info), .index = index };
	return ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, info);
}

int vdb_device_bar(const struct vdb_device *device, unsigned int index,
		   struct vdb_bar *bar)
{
	struct vfio_region_info info, config;
	uint32_t value;

	if (index >= VDB_BARS) {
		errno = EINVAL;
		return -1;
	}
	if (region(device, index, &info) ||
	    region(device, VFIO_PCI_CONFIG_REGION_INDEX, &config))
		return -1;
	if (pread(device->fd, &value, sizeof(value),
		  config.offset + PCI_BASE_ADDRESS_0 + 4 * index) != sizeof(value))
		return -1;

	*bar = (struct vdb_bar){ .size = info.size };
	if (!bar->size)
		return 0;
	bar->memory = !(value & PCI_BASE_ADDRESS_SPACE_IO);
	bar->mappable = info.flags & VFIO_REGION_INFO_FLAG_MMAP;
	if (bar->memory) {
		bar->prefetchable = value & PCI_BASE_ADDRESS_MEM_PREFETCH;
		bar->is_64bit = (value & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
				PCI_BASE_ADDRESS_MEM_TYPE_64;
	}
	return 0;
}

int vdb_device_reset(const struct vdb_device *device)
{
	return ioctl(device->fd, VFIO_DEVICE_RESET);
}
