/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "actions.h"
#include "common/fds.h"
#include "common/function.h"
#include "direct.h"
#include "operate.h"
#include "unsent.h"

__attribute__((format(printf, 2, 3)))
static bool failed(struct job *job, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(job->why, sizeof(job->why), format, args);
	va_end(args);
	return false;
}

void operate_leave(struct held *held)
{
	vdb_device_close(held->device);
	held->device = NULL;
	fds_close(&held->stored, 1);
}

static bool revoke_one(const struct vdb_buffer *buffer, void *device)
{
	if (!(buffer->flags & VDB_FLAG_BAR_MAPPING))
		vdb_device_revoke_id(device, buffer->id);
	return true;
}

static void revoke_all(struct held *held)
{
	if (!held->device)
		held->device = vdb_device_from_fd(held->stored);
	if (held->device)
		vdb_device_list(held->device, revoke_one, held->device);
}

static void close_device(struct held *held)
{
	/* While the store has it open, closing our fd revokes nothing. */
	if (held->in_store && held->store->remove(held->store->data, held->bdf))
		revoke_all(held);
	held->in_store = false;
	operate_leave(held);
}

/* The kernel signals this eventfd to unbind the device, and waits until it is closed. */
static int watch_requests(const struct vdb_device *device)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} request = {
		.set = {
			.argsz = sizeof(request),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};

	if (request.fd >= 0 && ioctl(vdb_device_fd(device), VFIO_DEVICE_SET_IRQS, &request))
		fds_close(&request.fd, 1);
	return request.fd;
}

static bool find_facts(const struct vdb_device *device, struct facts *facts)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (ioctl(vdb_device_fd(device), VFIO_DEVICE_GET_INFO, &info))
		return false;
	facts->page = sysconf(_SC_PAGESIZE);
	facts->can_be_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	facts->direct = direct_is_possible(vdb_device_fd(device));
	for (unsigned int i = 0; i < BARS; i++) {
		struct vdb_bar bar;

		if (vdb_device_bar(device, i, &bar))
			return false;
		facts->bars[i].size = bar.size;
		facts->bars[i].mappable = bar.mappable;
	}
	return true;
}

struct list {
	struct listed *buffers;
	size_t nr, room;
};

static bool add_buffer(const struct vdb_buffer *buffer, void *data)
{
	struct list *list = data;

	if (buffer->flags & VDB_FLAG_BAR_MAPPING)
		return true;
	if (list->nr == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		struct listed *buffers = realloc(list->buffers, room * sizeof(*buffers));

		if (!buffers)
			return false;
		list->buffers = buffers;
		list->room = room;
	}
	list->buffers[list->nr++] = (struct listed){
		.id = buffer->id,
		/* The kernel reports this state when no importer has it mapped. */
		.revoked = buffer->state == VDB_STATE_REVOKED,
	};
	return true;
}

static bool list_buffers(const struct vdb_device *device, struct job *job)
{
	struct list list = { 0 };
	int ret = vdb_device_list(device, add_buffer, &list);

	job->buffers = list.buffers;
	job->event.buffers = list.buffers;
	job->event.nr_buffers = list.nr;
	if (ret > 0)
		errno = ENOMEM;
	return !ret;
}

static bool is_virtual(const char *bdf)
{
	char path[64];

	function_path(bdf, "physfn", path, sizeof(path));
	return !access(path, F_OK);
}

static bool not_open(struct job *job, int error)
{
	switch (error) {
	case ENOENT:
		return failed(job, "it does not exist or is not bound to a VFIO driver; run vfio-dmabuf bind %s", job->bdf);
	case EBUSY:
		return failed(job, "another process has it or a function of its IOMMU group open");
	case EACCES:
		if (*job->vf_token || is_virtual(job->bdf))
			return failed(job, "permission denied; set vf_token to that of the physical function, and let this user open its node in /dev/vfio");
		return failed(job, "permission denied; let this user open its node in /dev/vfio, as the udev rule of the package does");
	case EOPNOTSUPP:
		return failed(job, "this kernel cannot use vf_token");
	default:
		return failed(job, "%s", strerror(error));
	}
}

static bool find_device(struct held *held, struct job *job)
{
	const unsigned int needed = VDB_CAP_EXPORT | VDB_CAP_EVENTS | VDB_CAP_LIST;

	if (held->stored >= 0)
		held->device = vdb_device_from_fd(held->stored);
	else
		held->device = vdb_device_open(job->bdf, *job->vf_token ? job->vf_token : NULL, NULL);
	if (!held->device)
		return not_open(job, errno);
	if ((vdb_device_capabilities(held->device) & needed) != needed)
		return failed(job, "its driver is not dmabuf-vfio-pci, or an older version of it; run vfio-dmabuf bind %s", job->bdf);
	return true;
}

static bool open_device(struct held *held, struct job *job)
{
	bool fresh = held->stored < 0;

	if (!find_device(held, job))
		return false;
	job->request = watch_requests(held->device);
	job->events = vdb_device_watch(held->device);
	if (job->request < 0 || job->events < 0 || !find_facts(held->device, &job->facts) ||
	    !list_buffers(held->device, job))
		return failed(job, "%s", strerror(errno));
	held->facts = job->facts;
	job->fd = vdb_device_fd(held->device);
	job->event.fresh = fresh;
	if (!fresh)
		return true;
	/* Otherwise leases granted from now on would be lost with this process. */
	held->in_store = true;
	return !held->store->put(held->store->data, held->bdf, vdb_device_fd(held->device)) ||
	       failed(job, "the service manager did not store it: %s", strerror(errno));
}

static bool open_or_close(struct held *held, struct job *job)
{
	if (open_device(held, job))
		return true;
	fds_close(&job->request, 1);
	fds_close(&job->events, 1);
	close_device(held);
	return false;
}

static bool prepare(const struct held *held, struct job *job)
{
	bool reset = false;

	for (size_t i = 0; i < job->nr_slices; i++) {
		if (!facts_fit(&held->facts, held->bdf, &job->slices[i], job->why, sizeof(job->why)))
			return false;
		reset |= job->slices[i].actions.reset != RESET_NOT;
	}
	return actions_run(held->device, job->slices, job->nr_slices, reset, job->why,
			   sizeof(job->why));
}

static bool export_slice(const struct held *held, struct job *job)
{
	const struct slice *slice = &job->slice;
	const struct vdb_range range = { slice->offset, slice->length };
	unsigned int flags = (slice->flags & SLICE_READ_ONLY ? VDB_FLAG_READ_ONLY : 0) |
			     (slice->flags & SLICE_WC ? VDB_FLAG_WC : 0);
	struct vdb_buffer buffer;
	int *fds = job->unsent->fds;

	fds[0] = vdb_device_export(held->device, slice->bar, &range, 1, flags, &buffer);
	if (fds[0] < 0)
		return failed(job, "%s: exporting 0x%llx bytes at 0x%llx of BAR %u: %s", slice->name,
			      (unsigned long long)slice->length, (unsigned long long)slice->offset,
			      slice->bar, strerror(errno));
	fds[1] = vdb_device_watch_id(held->device, buffer.id);
	if (fds[1] < 0)
		return failed(job, "%s: its event fd: %s", slice->name, strerror(errno));
	job->event.buffer = buffer.id;
	return true;
}

static bool revoke_buffer(const struct held *held, struct job *job)
{
	int ret;

	do
		ret = vdb_device_revoke_id(held->device, job->event.buffer);
	while (ret && errno == EINTR);
	/* It was revoked before, or no longer exists. */
	if (!ret || errno == EBADFD || errno == ENOENT)
		return true;
	return failed(job, "buffer %llu cannot be revoked: %s", (unsigned long long)job->event.buffer,
		      strerror(errno));
}

static bool carry_out(struct held *held, struct job *job)
{
	if (job->type == EFFECT_OPEN)
		return open_or_close(held, job);
	if (job->type == EFFECT_CLOSE) {
		close_device(held);
		return true;
	}
	if (!held->device)
		return failed(job, "it is not open");
	switch (job->type) {
	case EFFECT_PREPARE:
		return prepare(held, job);
	case EFFECT_EXPORT:
		return export_slice(held, job);
	case EFFECT_REVOKE:
		return revoke_buffer(held, job);
	default:
		return actions_run(held->device, &job->slice, 1, job->reset, job->why, sizeof(job->why));
	}
}

void operate(struct held *held, struct job *job)
{
	job->event.ok = carry_out(held, job);
}
