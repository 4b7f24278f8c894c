/* SPDX-License-Identifier: MIT */
/*
 * What is done to the device between the end of a lease and the next one: the
 * registers and the reset of the configuration.  The slice is revoked by then,
 * and the registers are reached through the device fd.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"

#define RESET_TRIES	10
#define RESET_PAUSE	10000	/* us */

static bool write_register(const struct lease *lease, const struct quiesce *q)
{
	int fd = vdb_device_fd(lease->device->vdb);
	struct vfio_region_info region = { .argsz = sizeof(region), .index = lease->bar };
	ssize_t size = q->width / 8;

	if (!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region) &&
	    pwrite(fd, &q->value, size, region.offset + lease->offset + q->offset) == size)
		return true;
	log_line(LOG_ERR, "lease %" PRIu64 ": writing 0x%" PRIx64 " to 0x%" PRIx64 " of %s failed: %s",
		 lease->id, q->value, q->offset, lease->slice_name, strerror(errno));
	return false;
}

static bool is_idle(const struct lease *ended)
{
	for (const struct lease *lease = ended->broker->leases; lease; lease = lease->next)
		if (lease != ended && lease->device == ended->device && !lease->end)
			return false;
	return true;
}

static bool reset(const struct device *device)
{
	/* Somebody else may be at its config space just now. */
	for (int i = 0; i < RESET_TRIES; i++) {
		if (!vdb_device_reset(device->vdb))
			return true;
		if (errno != EAGAIN)
			break;
		usleep(RESET_PAUSE);
	}
	log_line(LOG_ERR, "device %s (%s) cannot be reset: %s", device->name, device->bdf,
		 strerror(errno));
	return false;
}

static bool act(const struct lease *lease)
{
	const struct hooks *hooks = &lease->hooks;

	for (uint32_t i = 0; i < hooks->nr_quiesce; i++)
		if (!write_register(lease, &hooks->quiesce[i]))
			return false;
	if (hooks->reset == RESET_ALWAYS || (hooks->reset == RESET_IDLE && is_idle(lease)))
		return reset(lease->device);
	return true;
}

/* What a client may have left in the device is not lent to the next one. */
void release_actions(const struct lease *lease)
{
	struct device *device = lease->device;

	if (!device || !device->vdb || act(lease))
		return;
	log_line(LOG_CRIT, "device %s (%s) cannot be put in order: closing it; restart the broker to open it again",
		 device->name, device->bdf);
	device_close(device);
}
