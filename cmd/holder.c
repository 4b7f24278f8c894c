/* SPDX-License-Identifier: MIT */
/* The files through which processes have a function open. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fdinfo.h"
#include "common/vfio_nodes.h"
#include "holder.h"
#include "sysfs.h"

static void find_group(struct vfio_files *files)
{
	static const char *const prefixes[] = { "", "noiommu-" };
	char name[64], path[256];

	if (!function_link(files->bdf, "iommu_group", name, sizeof(name)))
		return;
	for (int i = 0; i < 2 && !files->group; i++) {
		snprintf(path, sizeof(path), "/sys/class/vfio/%s%s/dev", prefixes[i], name);
		files->group = device_number(path);
		snprintf(files->path, sizeof(files->path), "/dev/vfio/%s%.32s", prefixes[i], name);
	}
}

static void find_device(struct vfio_files *files)
{
	struct vfio_nodes nodes;
	char path[256];

	vfio_nodes_find(files->bdf, &nodes);
	if (!nodes.device[0])
		return;
	snprintf(path, sizeof(path), "/sys/class/vfio-dev/%s/dev", strrchr(nodes.device, '/') + 1);
	files->device = device_number(path);
}

void vfio_files_find(const char *bdf, struct vfio_files *files)
{
	*files = (struct vfio_files){ .bdf = bdf };
	find_group(files);
	find_device(files);
}

bool vfio_files_is_device(const struct vfio_files *files, const struct open_file *file)
{
	char bdf[BDF_SIZE];

	if (S_ISCHR(file->mode))
		return files->device && file->number == files->device;
	/* A device fd of a group has no name. */
	return !(file->mode & S_IFMT) && fdinfo_function(file->pid, file->fd, bdf) && !strcmp(bdf, files->bdf);
}

bool vfio_files_has(const struct vfio_files *files, const struct open_file *file)
{
	return (S_ISCHR(file->mode) && files->group && file->number == files->group) ||
	       vfio_files_is_device(files, file);
}
