/* SPDX-License-Identifier: MIT */
/* Whether somebody would miss a PCI function. */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffers.h"
#include "in_use.h"
#include "process.h"
#include "sysfs.h"

/* Through what a function is open, if it is. */
struct vfio {
	const char *bdf;
	char path[64];		/* of the group's file, "" if there is none */
	dev_t group, device;	/* 0 if there is none */
	struct buffers buffers;
	char *why;
	size_t size;
};

static void find_files(struct vfio *vfio)
{
	char name[64], path[256];
	struct dirent *entry;
	DIR *dir;

	if (function_link(vfio->bdf, "iommu_group", name, sizeof(name))) {
		static const char *const prefixes[] = { "", "noiommu-" };

		for (int i = 0; i < 2 && !vfio->group; i++) {
			snprintf(path, sizeof(path), "/sys/class/vfio/%s%s/dev", prefixes[i], name);
			vfio->group = device_number(path);
			snprintf(vfio->path, sizeof(vfio->path), "/dev/vfio/%s%.32s", prefixes[i], name);
		}
	}
	function_path(vfio->bdf, "vfio-dev", path, sizeof(path));
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/vfio-dev/%.64s/dev", entry->d_name);
		vfio->device = device_number(path);
	}
	if (dir)
		closedir(dir);
}

/* Whether a device fd, which has no name, is this device's; Linux 6.17 and later say it. */
static bool is_device_fd(const struct open_file *opened, const char *bdf)
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

static bool opens_it(const struct open_file *file, void *data)
{
	const struct vfio *vfio = data;

	if (S_ISCHR(file->mode))
		return file->number == vfio->group || file->number == vfio->device;
	return !(file->mode & S_IFMT) && is_device_fd(file, vfio->bdf);
}

/* A mapping of a BAR keeps the device open, one of a slice does not. */
static bool maps_it(const char *line, void *data)
{
	const struct vfio *vfio = data;
	const struct buffer *buffer;
	struct mapping mapping;

	if (!parse_mapping(line, &mapping))
		return false;
	buffer = buffers_find(&vfio->buffers, mapping.inode);
	return buffer && !buffer->slice;
}

static bool has_it(const char *pid, void *data)
{
	struct vfio *vfio = data;
	char name[32];

	if (!process_any_file(pid, opens_it, vfio) &&
	    !(vfio->buffers.nr && process_any_mapping(pid, maps_it, vfio)))
		return false;
	process_name(pid, name);
	snprintf(vfio->why, vfio->size, "process %.20s (%s) has it, or its group, open; end that first", pid, name);
	return true;
}

bool vfio_in_use(const char *bdf, char *why, size_t size)
{
	struct vfio vfio = { .bdf = bdf, .why = why, .size = size };
	bool used;
	int fd;

	find_files(&vfio);
	buffers_read(bdf, &vfio.buffers);
	used = process_any(has_it, &vfio);
	buffers_free(&vfio.buffers);
	if (used || !vfio.group)
		return used;
	/* The group knows it, whatever becomes of the fd by which it was opened. */
	fd = open(vfio.path, O_RDWR | O_CLOEXEC);
	used = fd < 0 && errno == EBUSY;
	if (fd >= 0)
		close(fd);
	if (used)
		snprintf(why, size, "somebody has it, or its group, open through VFIO (ls -l /proc/*/fd may show who has a vfio-device); end that first");
	return used;
}

bool in_use(const char *bdf, char *why, size_t size)
{
	return disk_in_use(bdf, why, size) || network_in_use(bdf, why, size) ||
	       vfio_in_use(bdf, why, size);
}
