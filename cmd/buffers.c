/* SPDX-License-Identifier: MIT */
/* A function's buffers, as the kernel lists them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buffers.h"
#include "common/names.h"
#include "holder.h"
#include "output.h"
#include "process.h"
#include "sysfs.h"

static void add(struct buffers *buffers, const struct buffer *buffer)
{
	if (buffers->nr == buffers->room) {
		buffers->room = buffers->room ? 2 * buffers->room : 64;
		buffers->list = reallocarray(buffers->list, buffers->room, sizeof(*buffer));
		if (!buffers->list)
			abort();
	}
	buffers->list[buffers->nr++] = *buffer;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct buffer *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static void sort(struct buffers *buffers)
{
	if (buffers->nr)
		qsort(buffers->list, buffers->nr, sizeof(buffers->list[0]), compare_inodes);
}

void buffers_free(struct buffers *buffers)
{
	free(buffers->list);
	*buffers = (struct buffers){ 0 };
}

const struct buffer *buffers_find(const struct buffers *buffers, uint64_t inode)
{
	const struct buffer key = { .inode = inode };

	if (!buffers->nr)
		return NULL;
	return bsearch(&key, buffers->list, buffers->nr, sizeof(key), compare_inodes);
}

/* ---- from debugfs ---- */

bool buffers_read_debugfs(const char *bdf, struct buffers *buffers)
{
	char path[128], line[1024];
	struct buffer buffer;
	FILE *file;

	*buffers = (struct buffers){ 0 };
	snprintf(path, sizeof(path), "/sys/kernel/debug/" DRIVER "/%s/buffers", bdf);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		if (parse_buffer(line, &buffer))
			add(buffers, &buffer);
	fclose(file);
	sort(buffers);
	return true;
}

/* ---- from the kernel, with the device fd of a process ---- */

struct listing {
	struct vdb_device *device;
	struct buffers *buffers;
};

static bool read_ranges(struct vdb_device *device, uint64_t id, struct buffer *buffer)
{
	struct vdb_range ranges[MAX_RANGES];
	ssize_t nr = vdb_device_buffer_ranges(device, id, 0, ranges, MAX_RANGES);

	if (nr < 1)
		return false;
	buffer->nr_known = nr;
	for (ssize_t i = 0; i < nr; i++) {
		buffer->ranges[i].offset = ranges[i].offset;
		buffer->ranges[i].length = ranges[i].length;
	}
	return true;
}

static bool add_listed(const struct vdb_buffer *listed, void *data)
{
	struct listing *listing = data;
	struct buffer buffer = {
		.bar = listed->bar,
		.slice = !(listed->flags & VDB_FLAG_BAR_MAPPING),
		.read_only = listed->flags & VDB_FLAG_READ_ONLY,
		.mappings = listed->mappings,
		.size = listed->length,
		.importers = listed->dma_maps,
		.inode = listed->inode,
		.nr_ranges = listed->nr_ranges,
		.nr_known = 1,
		.ranges = { { listed->offset, listed->length } },
	};

	snprintf(buffer.state, sizeof(buffer.state), "%s", state_name(listed->state));
	strcpy(buffer.memattr, listed->flags & VDB_FLAG_WC ? "wc" : "nc");
	/* A buffer that has just been released does not have any. */
	if (listed->nr_ranges == 1 || read_ranges(listing->device, listed->id, &buffer))
		add(listing->buffers, &buffer);
	return true;
}

static bool list(int device_fd, struct buffers *buffers)
{
	struct listing listing = { vdb_device_from_fd(device_fd), buffers };
	bool listed = listing.device && !vdb_device_list(listing.device, add_listed, &listing);

	vdb_device_close(listing.device);
	if (!listed)
		buffers_free(buffers);
	return listed;
}

/* A copy of another process's fd.  This needs the right to trace the process; -1 otherwise. */
static int copy_fd(const char *pid, const char *number)
{
	int process = syscall(SYS_pidfd_open, atoi(pid), 0);
	int fd = process < 0 ? -1 : syscall(SYS_pidfd_getfd, process, atoi(number), 0);

	if (process >= 0)
		close(process);
	return fd;
}

/* When the fd is copied, its number can already belong to another file. */
static bool is_still_device(int fd, const struct vfio_files *files)
{
	struct open_file file = { .pid = "self" };
	struct stat status;
	char number[16];

	if (fstat(fd, &status))
		return false;
	snprintf(number, sizeof(number), "%d", fd);
	file.fd = number;
	file.mode = status.st_mode;
	file.number = status.st_rdev;
	return vfio_files_is_device(files, &file);
}

struct search {
	struct vfio_files files;
	struct buffers *buffers;
};

static bool list_through(const struct open_file *file, void *data)
{
	struct search *search = data;
	bool listed;
	int fd;

	if (!vfio_files_is_device(&search->files, file))
		return false;
	fd = copy_fd(file->pid, file->fd);
	if (fd < 0)
		return false;
	listed = is_still_device(fd, &search->files) && list(fd, search->buffers);
	close(fd);
	return listed;
}

static bool list_through_process(const char *pid, void *data)
{
	return process_any_file(pid, list_through, data);
}

/* An ioctl would wake a device that its owner has put into low power, and notify the owner. */
static bool sleeps(const char *bdf)
{
	char status[32];

	return !function_get(bdf, "power/runtime_status", status, sizeof(status)) &&
	       !strcmp(status, "suspended");
}

static bool read_through_holder(const char *bdf, struct buffers *buffers)
{
	struct search search = { .buffers = buffers };

	*buffers = (struct buffers){ 0 };
	if (sleeps(bdf))
		return false;
	vfio_files_find(bdf, &search.files);
	if (!process_any(list_through_process, &search))
		return false;
	sort(buffers);
	return true;
}

bool buffers_read(const char *bdf, struct buffers *buffers)
{
	return read_through_holder(bdf, buffers) || buffers_read_debugfs(bdf, buffers);
}
