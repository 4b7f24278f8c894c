/* SPDX-License-Identifier: MIT */
/*
 * Devices: opened at the start, kept until the kernel wants one back or the
 * configuration has it no longer.  One that is lost does not keep the others
 * from being lent.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"
#include "store.h"

struct device *device_find(struct broker *broker, const char *bdf)
{
	for (struct device *device = broker->devices; device; device = device->next)
		if (!strcmp(device->bdf, bdf))
			return device;
	return NULL;
}

struct device *device_add(struct broker *broker, const struct device_config *config)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->broker = broker;
	device->request_fd = -1;
	snprintf(device->name, sizeof(device->name), "%s", config->name);
	snprintf(device->bdf, sizeof(device->bdf), "%s", config->bdf);
	device->next = broker->devices;
	broker->devices = device;
	return device;
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source, (void)fd, (void)events;
	device_lose(data, "the kernel wants it back");
	return 0;
}

/* The kernel signals this when the device is to be unbound, and waits for us. */
static int watch_requests(struct device *device)
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
	};

	device->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (device->request_fd < 0)
		return -1;
	request.fd = device->request_fd;
	if (ioctl(vdb_device_fd(device->vdb), VFIO_DEVICE_SET_IRQS, &request))
		return -1;
	return sd_event_add_io(device->broker->event, &device->request_source,
			       device->request_fd, EPOLLIN, on_request, device) < 0 ? -1 : 0;
}

static bool can_be_reset(const struct device *device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return !ioctl(vdb_device_fd(device->vdb), VFIO_DEVICE_GET_INFO, &info) &&
	       info.flags & VFIO_DEVICE_FLAGS_RESET;
}

/* Whether every slice lies in its BAR, and the device can be reset if it is to be. */
static bool fits(const struct device *device, const struct device_config *config)
{
	for (size_t i = 0; i < config->nr_slices; i++) {
		const struct slice_config *slice = &config->slices[i];
		struct vdb_bar bar;

		if (vdb_device_bar(device->vdb, slice->bar, &bar) || !bar.mappable) {
			log_line(LOG_ERR, "%s: BAR %u of %s cannot be mapped", slice->name,
				 slice->bar, device->bdf);
			return false;
		}
		if (slice->offset + slice->length * slice->count > bar.size) {
			log_line(LOG_ERR, "%s: it ends at 0x%llx, BAR %u of %s at 0x%llx", slice->name,
				 (unsigned long long)(slice->offset + slice->length * slice->count),
				 slice->bar, device->bdf, (unsigned long long)bar.size);
			return false;
		}
	}
	if (config->reset != RESET_NEVER && !can_be_reset(device)) {
		log_line(LOG_ERR, "device %s: %s cannot be reset alone; write reset = never, and quiesce registers instead",
			 config->name, device->bdf);
		return false;
	}
	return true;
}

bool devices_fit(const struct broker *broker, const struct config *config)
{
	for (const struct device *device = broker->devices; device; device = device->next) {
		const struct device_config *found = config_find_device(config, device->name);

		if (device->vdb && found && !strcmp(found->bdf, device->bdf) && !fits(device, found))
			return false;
	}
	return true;
}

static int lost(const struct device *device, const char *why)
{
	log_line(LOG_ERR, "device %s (%s) is lost: %s", device->name, device->bdf, why);
	return -1;
}

static const char *why_not_open(int error)
{
	switch (error) {
	case ENOENT:
		return "it is not there or not bound; vfio-dmabuf bind it, and restart the broker";
	case EBUSY:
		return "somebody else has it open; restart the broker when it is free";
	case EACCES:
	case EPERM:
		return "the broker may not open it; if it has given up root's rights, restart it";
	default:
		return strerror(error);
	}
}

int device_open(struct device *device, int fd)
{
	const unsigned int needed = VDB_CAN_EXPORT | VDB_CAN_EVENTS;

	device->vdb = fd >= 0 ? vdb_device_from_fd(fd) : vdb_device_open(device->bdf);
	if (!device->vdb) {
		lost(device, why_not_open(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	device->stored = fd >= 0;
	if ((vdb_device_abilities(device->vdb) & needed) != needed) {
		device_close(device);
		return lost(device, "its driver is not dmabuf-vfio-pci; vfio-dmabuf bind it, and restart the broker");
	}
	if (watch_requests(device)) {
		lost(device, strerror(errno));
		device_close(device);
		return -1;
	}
	store_put(store_name_of_device(device->bdf), vdb_device_fd(device->vdb));
	log_line(LOG_INFO, "device %s (%s) is %s", device->name, device->bdf,
		 device->stored ? "still open" : "open");
	return 0;
}

int devices_open(struct broker *broker)
{
	for (struct device *device = broker->devices; device; device = device->next)
		if (!device->vdb)
			device_open(device, -1);
	return devices_fit(broker, broker->config) ? 0 : -1;
}

unsigned int devices_count_open(const struct broker *broker)
{
	unsigned int count = 0;

	for (const struct device *device = broker->devices; device; device = device->next)
		count += device->vdb != NULL;
	return count;
}

int device_revoke(const struct device *device, const struct vdb_slice *slice)
{
	int ret;

	do
		ret = vdb_slice_revoke(device->vdb, slice);
	while (ret && errno == EINTR);
	return ret && errno != EBADFD ? -1 : 0;
}

void device_close(struct device *device)
{
	int fd;

	if (!device->vdb)
		return;
	sd_event_source_disable_unref(device->request_source);
	device->request_source = NULL;
	if (device->request_fd >= 0)
		close(device->request_fd);
	device->request_fd = -1;
	fd = vdb_device_fd(device->vdb);
	vdb_device_close(device->vdb);
	if (device->stored)
		close(fd);
	device->vdb = NULL;
	/* It is open, and cannot be opened anew, until the store's fd is closed. */
	store_remove_now(store_name_of_device(device->bdf));
}

void device_lose(struct device *device, const char *why)
{
	struct lease *lease, *next;

	log_line(LOG_WARNING, "device %s (%s) is given up: %s", device->name, device->bdf, why);
	for (lease = device->broker->leases; lease; lease = next) {
		next = lease->next;
		if (lease->device == device && !lease->end)
			lease_end(lease, VDP_END_DEVICE);
	}
	device_close(device);
}

static void forget_device(struct device *device)
{
	struct device **link = &device->broker->devices;

	/* Ended leases that are still to be told do not need it any more. */
	for (struct lease *lease = device->broker->leases; lease; lease = lease->next)
		if (lease->device == device)
			lease->device = NULL;
	while (*link != device)
		link = &(*link)->next;
	*link = device->next;
	free(device);
}

void devices_reload(struct broker *broker)
{
	struct device *device, *next;

	for (device = broker->devices; device; device = next) {
		const struct device_config *config = config_find_device(broker->config, device->name);

		next = device->next;
		if (config && !strcmp(config->bdf, device->bdf))
			continue;
		device_lose(device, "the configuration has it no longer");
		forget_device(device);
	}
	for (size_t i = 0; i < broker->config->nr_devices; i++) {
		const struct device_config *config = &broker->config->devices[i];

		device = device_find(broker, config->bdf);
		if (!device)
			device = device_add(broker, config);
		if (device && !device->vdb && !device_open(device, -1) && !fits(device, config))
			device_close(device);
	}
}
