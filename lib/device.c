/* SPDX-License-Identifier: MIT */
/* The device: opened through VFIO or taken over as an fd, and what it has. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <linux/vfio_dmabuf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/bdf.h"
#include "common/fdinfo.h"
#include "common/fds.h"
#include "common/function.h"
#include "common/uuid.h"
#include "common/vfio_nodes.h"
#include "internal.h"

static_assert(VDB_BDF_SIZE == BDF_SIZE, "same size");

bool vdb_parse_bdf(const char *text, char bdf[VDB_BDF_SIZE])
{
	return bdf_parse(text, bdf);
}

/* Adds what failed to the text, and keeps errno.  -1. */
__attribute__((format(printf, 2, 3)))
static int failed(char *error, const char *format, ...)
{
	size_t length = strlen(error);
	int number = errno;
	va_list args;

	if (length)
		length += snprintf(error + length, VDB_ERROR_SIZE - length, "; ");
	if (length < VDB_ERROR_SIZE) {
		va_start(args, format);
		vsnprintf(error + length, VDB_ERROR_SIZE - length, format, args);
		va_end(args);
	}
	errno = number;
	return -1;
}

/* The same for a node or a call, with the text of errno. */
static int failed_at(char *error, const char *what)
{
	return failed(error, "%s: %s", what, strerror(errno));
}

/* An open node in @fd; -1 with errno. */
static int open_node(int *fd, const char *path, char *error)
{
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	failed_at(error, path);
	/*
	 * If a control group forbids a node, open() fails with EPERM, which has another
	 * meaning here.
	 */
	if (errno == EPERM)
		errno = EACCES;
	return -1;
}

/*
 * As in Linux 6.18 and later. Headers can be older. Older kernels refuse the flag, and
 * a larger @argsz.
 */
struct bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
#define BIND_FLAG_TOKEN	(1u << 0)
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token;		/* address of the 16 bytes */
};

static int bind_iommufd(const struct vdb_device *device, const uint8_t *token, uint32_t flags)
{
	struct bind_iommufd bind = {
		.argsz = flags ? sizeof(bind) : offsetof(struct bind_iommufd, token),
		.flags = flags,
		.iommufd = device->iommu,
		.token = (uintptr_t)token,
	};

	return ioctl(device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

/* A kernel that does not know tokens does not look for them. */
static bool knows_tokens(const struct vdb_device *device)
{
	return bind_iommufd(device, NULL, BIND_FLAG_TOKEN) && errno == EFAULT;
}

static int open_cdev(struct vdb_device *device, const char *path, const uint8_t *token, char *error)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };

	if (open_node(&device->fd, path, error) ||
	    open_node(&device->iommu, "/dev/iommu", error))
		return -1;
	if (bind_iommufd(device, token, token ? BIND_FLAG_TOKEN : 0)) {
		/*
		 * vfio_df_open() returns this if another fd is bound. With a token it
		 * can also mean an invalid token.
		 */
		if (errno == EINVAL)
			errno = token && !knows_tokens(device) ? EOPNOTSUPP : EBUSY;
		return failed_at(error, path);
	}
	if (ioctl(device->iommu, IOMMU_IOAS_ALLOC, &ioas))
		return failed_at(error, "/dev/iommu");
	device->ioas = attach.pt_id = ioas.out_ioas_id;
	/* So the kernel names it. */
	device->no_iommu = strstr(path, "/noiommu-");
	if (ioctl(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		return failed_at(error, path);
	return 0;
}

static int open_group(struct vdb_device *device, const char *path, const char *token, char *error)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char name[80];

	if (!*path) {
		errno = ENOENT;
		return failed(error, "%s is not in an IOMMU group", device->bdf);
	}
	snprintf(name, sizeof(name), "/dev/vfio/noiommu-%s", strrchr(path, '/') + 1);
	if (!access(name, F_OK)) {
		errno = EOPNOTSUPP;
		return failed(error, "%s has no IOMMU that limits its DMA: enable the IOMMU", device->bdf);
	}
	if (open_node(&device->group, path, error) ||
	    open_node(&device->iommu, "/dev/vfio/vfio", error))
		return -1;

	if (ioctl(device->group, VFIO_GROUP_GET_STATUS, &status))
		return failed_at(error, path);
	/* The error of binding a cdev to an iommufd for such a group. */
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		errno = EPERM;
		return failed(error, "%s: another function of the IOMMU group has a driver that is not one of VFIO's",
			      path);
	}
	if (ioctl(device->group, VFIO_GROUP_SET_CONTAINER, &device->iommu))
		return failed_at(error, path);
	if (ioctl(device->iommu, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return failed_at(error, "/dev/vfio/vfio");
	snprintf(name, sizeof(name), token ? "%s vf_token=%s" : "%s", device->bdf, token);
	device->fd = ioctl(device->group, VFIO_GROUP_GET_DEVICE_FD, name);
	return device->fd < 0 ? failed_at(error, path) : 0;
}

static void close_all(struct vdb_device *device)
{
	fd_close(device->fd);
	fd_close(device->group);
	fd_close(device->iommu);
	device->fd = device->group = device->iommu = -1;
	device->ioas = 0;
}

/* @token: NULL, or a UUID. */
static int open_any(struct vdb_device *device, const char *token, char *error)
{
	uint8_t bytes[16] = { 0 };
	struct vfio_nodes nodes;
	bool not_open;
	int first;

	if (token && !uuid_bytes(token, bytes)) {
		errno = EINVAL;
		return failed(error, "the token \"%s\" is not a UUID", token);
	}
	vfio_nodes_find(device->bdf, &nodes);
	if (!vfio_nodes_has_device(&nodes))
		return open_group(device, nodes.group, token, error);
	if (!open_cdev(device, nodes.device, token ? bytes : NULL, error))
		return 0;
	/*
	 * This user can be allowed to open the group, but not the cdev or
	 * /dev/iommu. Groups also support tokens on older kernels.
	 */
	first = errno;
	not_open = (device->fd < 0 || device->iommu < 0) && first == EACCES;
	if (!not_open && first != EOPNOTSUPP)
		return -1;
	close_all(device);
	if (!open_group(device, nodes.group, token, error))
		return 0;
	if (errno == ENOENT)
		errno = first;
	return -1;
}

static struct vdb_device *device_new(void)
{
	struct vdb_device *device = calloc(1, sizeof(*device));

	if (device)
		device->fd = device->group = device->iommu = -1;
	return device;
}

static int open_function(struct vdb_device *device, const char *bdf, const char *vf_token, char *error)
{
	char driver[64];

	if (!bdf_parse(bdf, device->bdf)) {
		errno = EINVAL;
		return failed(error, "\"%s\" is not the name of a PCI function", bdf);
	}
	if (!function_link(device->bdf, "driver", driver, sizeof(driver))) {
		errno = ENOENT;
		return failed(error, "%s does not exist or has no driver", device->bdf);
	}
	return open_any(device, vf_token, error);
}

struct vdb_device *vdb_device_open(const char *bdf, const char *vf_token,
				   char error[VDB_ERROR_SIZE])
{
	struct vdb_device *device = device_new();
	char text[VDB_ERROR_SIZE] = "";

	if (device) {
		device->owned = true;
		if (!open_function(device, bdf, vf_token, text))
			return device;
	} else {
		failed(text, "%s", strerror(errno));
	}
	vdb_device_close(device);
	if (error)
		memcpy(error, text, sizeof(text));
	return NULL;
}

struct vdb_device *vdb_device_from_fd(int device_fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vdb_device *device;
	char number[16];

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
	snprintf(number, sizeof(number), "%d", device_fd);
	fdinfo_function("self", number, device->bdf);
	return device;
}

void vdb_device_close(struct vdb_device *device)
{
	int error = errno;

	if (!device)
		return;
	if (device->owned)
		close_all(device);
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

unsigned int vdb_device_capabilities(const struct vdb_device *device)
{
	unsigned int capabilities = 0;

	if (can(device, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE))
		capabilities |= VDB_CAP_EXPORT;
	if (can(device, VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_MEMATTR))
		capabilities |= VDB_CAP_WC;
	if (can(device, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS))
		capabilities |= VDB_CAP_EVENTS;
	/* They were opened together. */
	if (can(device, VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST))
		capabilities |= VDB_CAP_LIST;
	return capabilities;
}

static int region(const struct vdb_device *device, uint32_t index,
		  struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){ .argsz = sizeof(*info), .index = index };
	return ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, info);
}

int vdb_device_bar_sized(const struct vdb_device *device, unsigned int index,
			 struct vdb_bar *bar, size_t size)
{
	struct vfio_region_info info, config;
	struct vdb_bar found = { 0 };
	uint32_t value;

	if (!vdb_is_size(size, VDB_FIRST_BAR))
		return -1;
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

	found.size = info.size;
	if (found.size) {
		found.memory = !(value & PCI_BASE_ADDRESS_SPACE_IO);
		found.mappable = info.flags & VFIO_REGION_INFO_FLAG_MMAP;
	}
	if (found.memory) {
		found.prefetchable = value & PCI_BASE_ADDRESS_MEM_PREFETCH;
		found.is_64bit = (value & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
				 PCI_BASE_ADDRESS_MEM_TYPE_64;
	}
	vdb_fill(bar, size, &found, sizeof(found));
	return 0;
}

int vdb_device_set_bus_master(const struct vdb_device *device, bool on)
{
	struct vfio_region_info config;
	uint16_t command;

	if (region(device, VFIO_PCI_CONFIG_REGION_INDEX, &config) ||
	    pread(device->fd, &command, sizeof(command), config.offset + PCI_COMMAND) != sizeof(command))
		return -1;
	command = on ? command | PCI_COMMAND_MASTER : command & ~PCI_COMMAND_MASTER;
	return pwrite(device->fd, &command, sizeof(command), config.offset + PCI_COMMAND) ==
	       sizeof(command) ? 0 : -1;
}

int vdb_device_reset(const struct vdb_device *device)
{
	return ioctl(device->fd, VFIO_DEVICE_RESET);
}
