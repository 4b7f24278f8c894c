/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "common/fds.h"
#include "common/function.h"
#include "direct.h"
#include "memory.h"
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

static void end_driver(struct held *held, bool leaves)
{
	if (held->driver)
		held->driver->close(&held->driven, leaves);
	held->driver = NULL;
	fds_close(&held->stored_driver, 1);
}

static void close_our_fds(struct held *held)
{
	vdb_device_close(held->device);
	held->device = NULL;
	fds_close(&held->stored, 1);
}

void operate_leave(struct held *held)
{
	end_driver(held, true);
	close_our_fds(held);
	memory_leave(held);
}

int driven_store(const struct driven *driven, int fd)
{
	const struct held *held = driven->held;

	return held->store->put_driver(held->store->data, held->bdf, fd);
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
	if (held->in_store && held->store->remove(held->store->data, held->bdf, held->ioas))
		revoke_all(held);
	held->in_store = false;
	end_driver(held, false);
	close_our_fds(held);
	/* From here on the device does no DMA. */
	memory_close(held);
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

/* The device and its leases with memory are the driver's from now on. */
static bool adopt_driver(struct held *held, struct job *job)
{
	struct lent *leases = calloc(held->nr_memories + 1, sizeof(*leases));
	int stored = held->stored_driver;
	bool ok;

	if (!leases)
		return failed(job, "%s", strerror(errno));
	for (size_t i = 0; i < held->nr_memories; i++)
		leases[i] = (struct lent){
			.id = held->memories[i].lease,
			.index = held->memories[i].index,
			.iova = held->memories[i].iova,
			.length = held->memories[i].length,
			.memory = held->memories[i].fd,
			.interrupt = -1,
		};
	held->stored_driver = -1;
	ok = held->driver->adopt(&held->driven, stored, leases, held->nr_memories, job->why,
				 sizeof(job->why));
	free(leases);
	return ok;
}

static bool begin_driver(struct held *held, struct job *job, bool fresh)
{
	static const struct driver *const drivers[NR_DRIVERS] = {
		[DRIVER_GENERIC] = &driver_generic,
		[DRIVER_NVME] = &driver_nvme,
	};

	held->driver = drivers[job->driver];
	held->driven = (struct driven){
		.bdf = held->bdf, .device = held->device, .dma = held->dma, .held = held,
	};
	return fresh ? held->driver->open(&held->driven, job->why, sizeof(job->why)) :
	       adopt_driver(held, job);
}

/* First memory: a device in the store without its IO address space would be of no use. */
static bool begin(struct held *held, struct job *job, bool fresh)
{
	if (fresh)
		return memory_open(held, job->why, sizeof(job->why)) &&
		       begin_driver(held, job, fresh);
	return memory_adopt(held, job->why, sizeof(job->why)) && begin_driver(held, job, fresh) &&
	       memory_settle(held, job->why, sizeof(job->why));
}

static bool open_device(struct held *held, struct job *job)
{
	bool fresh = held->stored < 0;

	if (!find_device(held, job))
		return false;
	/* The store has parts of it from now on. */
	held->in_store = true;
	if (!begin(held, job, fresh))
		return false;
	job->request = watch_requests(held->device);
	job->events = vdb_device_watch(held->device);
	if (job->request < 0 || job->events < 0 || !find_facts(held->device, &held->facts) ||
	    !list_buffers(held->device, job))
		return failed(job, "%s", strerror(errno));
	job->facts = held->facts;
	job->fd = vdb_device_fd(held->device);
	job->event.fresh = fresh;
	job->event.suspended = vdb_event_read(job->events, NULL) == VDB_STATE_SUSPENDED;
	if (!fresh)
		return true;
	/* Otherwise leases granted from now on would be lost with this process. */
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

static bool prepare(struct held *held, struct job *job)
{
	bool reset = false;

	for (size_t i = 0; i < job->nr_slices; i++) {
		if (!facts_fit(&held->facts, held->bdf, &job->slices[i], job->why, sizeof(job->why)))
			return false;
		reset |= job->slices[i].actions.reset != RESET_NOT;
	}
	return held->driver->prepare(&held->driven, job->slices, job->nr_slices, reset, job->why,
				     sizeof(job->why));
}

static struct lent lent_of(const struct held *held, const struct job *job)
{
	const struct lent_memory *memory = memory_of(held, job->event.lease);
	struct lent lent = {
		.id = job->event.lease, .index = job->index, .slice = &job->slice, .memory = -1,
		.interrupt = -1,
	};

	if (memory) {
		lent.iova = memory->iova;
		lent.length = memory->length;
		lent.memory = memory->fd;
	}
	return lent;
}

static bool begin_lease(struct held *held, struct job *job, int memory)
{
	struct lent lent = lent_of(held, job);
	bool ok;

	lent.interrupt = job->unsent->fds[3];
	if (memory < 0)
		return held->driver->lease_begin(&held->driven, &lent, job->why, sizeof(job->why));
	lent.address = mmap(NULL, lent.length, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (lent.address == MAP_FAILED)
		return failed(job, "%.60s: its memory: %s", job->slice.name, strerror(errno));
	ok = held->driver->lease_begin(&held->driven, &lent, job->why, sizeof(job->why));
	munmap(lent.address, lent.length);
	return ok;
}

/* If this fails, EFFECT_ACT and EFFECT_UNMAP end what it has begun. */
static bool prepare_lease(struct held *held, struct job *job)
{
	const struct lent_memory *memory;

	if (!job->slice.memory)
		return begin_lease(held, job, -1);
	memory = memory_allocate(held, job, job->why, sizeof(job->why));
	if (!memory)
		return false;
	job->event.iova = memory->iova;
	job->unsent->fds[2] = fcntl(memory->fd, F_DUPFD_CLOEXEC, 3);
	if (job->unsent->fds[2] < 0)
		return failed(job, "%.60s: its memory: %s", job->slice.name, strerror(errno));
	if (job->slice.flags & SLICE_INTERRUPT) {
		job->unsent->fds[3] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (job->unsent->fds[3] < 0)
			return failed(job, "%.60s: its interrupt: %s", job->slice.name, strerror(errno));
	}
	return begin_lease(held, job, memory->fd);
}

static bool end_lease(struct held *held, struct job *job)
{
	struct lent lent = lent_of(held, job);

	return held->driver->lease_end(&held->driven, &lent, job->reset, job->why,
				       sizeof(job->why));
}

static bool export_slice(struct held *held, struct job *job)
{
	const struct slice *slice = &job->slice;
	const struct vdb_range range = { slice->offset, slice->length };
	unsigned int flags = (slice->flags & SLICE_READ_ONLY ? VDB_FLAG_READ_ONLY : 0) |
			     (slice->flags & SLICE_WC ? VDB_FLAG_WC : 0);
	struct vdb_buffer buffer;
	int *fds = job->unsent->fds;

	if (!prepare_lease(held, job))
		return false;
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

	/* Its export has failed. */
	if (!job->event.buffer)
		return true;
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
	case EFFECT_UNMAP:
		return memory_free(held, job->event.lease, job->why, sizeof(job->why));
	default:
		return end_lease(held, job);
	}
}

void operate(struct held *held, struct job *job)
{
	job->event.ok = carry_out(held, job);
}
