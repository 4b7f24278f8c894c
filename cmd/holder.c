/* SPDX-License-Identifier: MIT */
/* Through which files processes have a function open. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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
	struct dirent *entry;
	char path[256];
	DIR *dir;

	function_path(files->bdf, "vfio-dev", path, sizeof(path));
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/vfio-dev/%.64s/dev", entry->d_name);
		files->device = device_number(path);
	}
	if (dir)
		closedir(dir);
}

void vfio_files_find(const char *bdf, struct vfio_files *files)
{
	*files = (struct vfio_files){ .bdf = bdf };
	find_group(files);
	find_device(files);
}

/* A device fd of a group has no name; Linux 6.17 and later say which device it is. */
static bool says_device(const struct open_file *opened, const char *bdf)
{
	char path[64], line[512];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo/%.20s", opened->pid, opened->fd);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, "vfio-device-syspath:", 20) && strrchr(line, '/') &&
			!strcmp(strrchr(line, '/') + 1, bdf);
	}
	if (file)
		fclose(file);
	return found;
}

bool vfio_files_is_device(const struct vfio_files *files, const struct open_file *file)
{
	if (S_ISCHR(file->mode))
		return files->device && file->number == files->device;
	return !(file->mode & S_IFMT) && says_device(file, files->bdf);
}

bool vfio_files_has(const struct vfio_files *files, const struct open_file *file)
{
	return (S_ISCHR(file->mode) && files->group && file->number == files->group) ||
	       vfio_files_is_device(files, file);
}
