/* SPDX-License-Identifier: MIT */
/* Whether a PCI function is in use. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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
	/* A process with the device fd need not be asked: its fd is found. */
	buffers_read_debugfs(bdf, &vfio.buffers);
	used = process_any(has_it, &vfio);
	buffers_free(&vfio.buffers);
	if (used || !vfio.files.group)
		return used;
	/* The group knows it, even if the fd through which it was opened is closed. */
	fd = open(vfio.files.path, O_RDWR | O_CLOEXEC);
	used = fd < 0 && errno == EBUSY;
	if (fd >= 0)
		close(fd);
	if (used)
		snprintf(why, size, "another process has it, or its group, open through VFIO (ls -l /proc/*/fd can show which process has a vfio-device); end that first");
	return used;
}

struct virtual_search {
	char *why;
	size_t size;
};

/* A physical function loses its virtual functions with its driver. */
static bool virtual_in_use(const char *bdf, void *data)
{
	struct virtual_search *search = data;
	char why[512];

	if (!in_use(bdf, why, sizeof(why)))
		return false;
	snprintf(search->why, search->size, "its virtual function %s: %s", bdf, why);
	return true;
}

bool in_use(const char *bdf, char *why, size_t size)
{
	struct virtual_search virtuals = { .why = why, .size = size };
	struct nodes nodes;
	bool used;

	if (vfio_in_use(bdf, why, size))
		return true;
	used = nodes_find("", bdf, &nodes) < 0;
	if (used)
		snprintf(why, size, "its nodes in /sys/dev cannot be read: %s", strerror(errno));
	used = used || disk_in_use("", &nodes, why, size) || network_in_use(bdf, why, size) ||
	       console_in_use("", &nodes, why, size) || framebuffer_in_use("", bdf, why, size) ||
	       opened_in_use("", &nodes, why, size) || disk_is_taken(&nodes, why, size) ||
	       function_any_virtual("", bdf, virtual_in_use, &virtuals);
	nodes_free(&nodes);
	return used;
}
