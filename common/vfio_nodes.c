/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/function.h"
#include "common/vfio_nodes.h"

static void find_device(const char *bdf, char path[VFIO_PATH])
{
	char directory[128];
	struct dirent *entry;
	DIR *dir;

	function_path(bdf, "vfio-dev", directory, sizeof(directory));
	dir = opendir(directory);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(path, VFIO_PATH, "/dev/vfio/devices/%.32s", entry->d_name);
	if (dir)
		closedir(dir);
}

void vfio_nodes_find(const char *bdf, struct vfio_nodes *nodes)
{
	char group[32];

	*nodes = (struct vfio_nodes){ 0 };
	find_device(bdf, nodes->device);
	if (function_link(bdf, "iommu_group", group, sizeof(group)))
		snprintf(nodes->group, sizeof(nodes->group), "/dev/vfio/%s", group);
}

static bool may_exist(const char *path)
{
	return !access(path, F_OK) || errno == EACCES;
}

bool vfio_nodes_has_device(const struct vfio_nodes *nodes)
{
	return nodes->device[0] && may_exist(nodes->device) && may_exist("/dev/iommu");
}
