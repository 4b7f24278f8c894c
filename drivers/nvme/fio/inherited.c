/* SPDX-License-Identifier: MIT */
#include "inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE	"VFIO_DMABUF_SLICES"

/* One object of the variable. */
struct description {
	const char *name, *bdf;
	int index, fd, event_fd, bar, memory_fd, read_only, write_combining;
	json_int_t offset, iova;
};

static int failed(char error[VDB_ERROR_SIZE], const char *what)
{
	snprintf(error, VDB_ERROR_SIZE, "%s: %s", what, strerror(errno));
	return -1;
}

/* False: it is not as vfio-dmabuf run writes it. */
static bool unpack(json_t *object, struct description *d)
{
	const json_t *memory = json_object_get(object, "memory");

	d->memory_fd = -1;
	if (json_unpack(object, "{s:s,s:i,s:i,s:i,s:s,s:i,s:I,s:b,s:b}",
			"name", &d->name, "index", &d->index, "fd", &d->fd, "event_fd", &d->event_fd,
			"bdf", &d->bdf, "bar", &d->bar, "offset", &d->offset,
			"read_only", &d->read_only, "write_combining", &d->write_combining))
		return false;
	return !memory || json_is_null(memory) ||
	       !json_unpack((json_t *)memory, "{s:i,s:I}", "fd", &d->memory_fd, "iova", &d->iova);
}

static int duplicate(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static struct vdb_slice *doorbells_of(const struct description *d)
{
	int fd = duplicate(d->fd), event_fd = duplicate(d->event_fd);
	struct vdb_slice *slice = vdb_slice_from_fd(fd, event_fd, d->bdf, d->bar, d->offset,
						    (d->read_only ? VDB_FLAG_READ_ONLY : 0) |
						    (d->write_combining ? VDB_FLAG_WC : 0));

	if (!slice) {
		int error = errno;

		close(fd);
		close(event_fd);
		errno = error;
	}
	return slice;
}

static struct vdb_slice *memory_of(const struct description *d)
{
	int fd = duplicate(d->memory_fd);
	struct vdb_slice *slice = vdb_memory_from_fd(fd, d->iova, 0);

	if (!slice) {
		int error = errno;

		close(fd);
		errno = error;
	}
	return slice;
}

static bool is_named(const char *slice, const struct description *d, const char *full)
{
	return !slice || !strcmp(slice, d->name) || !strcmp(slice, full);
}

static int find(json_t *list, const char *slice, unsigned int nr, struct inherited *lease, char error[VDB_ERROR_SIZE])
{
	struct description d = { 0 };
	json_t *object;
	size_t i;

	json_array_foreach(list, i, object) {
		if (!unpack(object, &d)) {
			snprintf(error, VDB_ERROR_SIZE, "object %zu of " VARIABLE " is not as vfio-dmabuf run writes it", i);
			return -1;
		}
		snprintf(lease->name, sizeof(lease->name), "%s[%d]", d.name, d.index);
		if (d.memory_fd < 0 || !is_named(slice, &d, lease->name) || nr--)
			continue;
		lease->doorbells = doorbells_of(&d);
		if (!lease->doorbells)
			return failed(error, lease->name);
		lease->memory = memory_of(&d);
		if (lease->memory)
			return 1;
		vdb_slice_free(lease->doorbells);
		return failed(error, lease->name);
	}
	return 0;
}

int inherited_queue(const char *slice, unsigned int nr, struct inherited *lease, char error[VDB_ERROR_SIZE])
{
	const char *text = getenv(VARIABLE);
	json_error_t where;
	json_t *list;
	int ret;

	if (!text)
		return 0;
	list = json_loads(text, 0, &where);
	if (!json_is_array(list)) {
		snprintf(error, VDB_ERROR_SIZE, VARIABLE " is not a JSON array: %s", list ? "another value" : where.text);
		json_decref(list);
		return -1;
	}
	ret = find(list, slice, nr, lease, error);
	json_decref(list);
	return ret;
}
