/* SPDX-License-Identifier: MIT */
/* Whether somebody would miss a PCI function. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "buffers.h"
#include "holder.h"
#include "in_use.h"
#include "process.h"
#include "sysfs.h"

struct vfio {
	struct vfio_files files;
	struct buffers buffers;
	char *why;
	size_t size;
};

static bool opens_it(const struct open_file *file, void *data)
{
	const struct vfio *vfio = data;

	return vfio_files_has(&vfio->files, file);
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
	struct vfio vfio = { .why = why, .size = size };
	bool used;
	int fd;

	vfio_files_find(bdf, &vfio.files);
	/* What a process with the device fd could tell is not needed: its fd is found. */
	buffers_read_debugfs(bdf, &vfio.buffers);
	used = process_any(has_it, &vfio);
	buffers_free(&vfio.buffers);
	if (used || !vfio.files.group)
		return used;
	/* The group knows it, whatever becomes of the fd by which it was opened. */
	fd = open(vfio.files.path, O_RDWR | O_CLOEXEC);
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
