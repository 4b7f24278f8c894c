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

static void write_register(const struct lease *lease, const struct quiesce *q)
{
	int fd = vdb_device_fd(lease->device->vdb);
	struct vfio_region_info region = { .argsz = sizeof(region), .index = lease->bar };
	ssize_t size = q->width / 8;

	if (!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region) &&
	    pwrite(fd, &q->value, size, region.offset + lease->offset + q->offset) == size)
		return;
	log_line(LOG_ERR, "lease %" PRIu64 ": writing 0x%" PRIx64 " to 0x%" PRIx64 " of %s failed: %s",
		 lease->id, q->value, q->offset, lease->slice_name, strerror(errno));
}

static bool is_idle(const struct lease *ended)
{
	for (const struct lease *lease = ended->broker->leases; lease; lease = lease->next)
		if (lease != ended && lease->device == ended->device && !lease->end)
			return false;
	return true;
}

void release_actions(const struct lease *lease)
{
	struct device_config *device;
	const struct slice_config *slice =
		config_find_slice(lease->broker->config, lease->slice_name, &device);

	if (!slice || !lease->device || !lease->device->vdb)
		return;
	for (size_t i = 0; i < slice->nr_quiesce; i++)
		write_register(lease, &slice->quiesce[i]);
	if (device->reset == RESET_NEVER || (device->reset == RESET_IDLE && !is_idle(lease)))
		return;
	if (vdb_device_reset(lease->device->vdb) && errno != EINVAL)
		log_line(LOG_ERR, "device %s cannot be reset: %s", device->name, strerror(errno));
}
