/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "actions.h"

#define RESET_TRIES	10
#define RESET_PAUSE	10000	/* us */

static bool write_register(int fd, const struct slice *slice, uint64_t bar, uint32_t index,
			   const struct register_write *write, char *why, size_t size)
{
	uint64_t offset = slice->offset + index * slice->length + write->offset;
	uint64_t value = htole64(write->value);
	ssize_t width = write->width / 8, written;

	written = pwrite(fd, &value, width, bar + offset);
	if (written == width)
		return true;
	snprintf(why, size, "%s: writing 0x%" PRIx64 " to the register at 0x%" PRIx64 " of BAR %u: %s",
		 slice->name, write->value, offset, slice->bar,
		 written < 0 ? strerror(errno) : "not all of it was written");
	return false;
}

static bool write_registers(int fd, const struct slice *slice, char *why, size_t size)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = slice->bar };

	if (!slice->actions.nr)
		return true;
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region)) {
		snprintf(why, size, "%s: BAR %u: %s", slice->name, slice->bar, strerror(errno));
		return false;
	}
	for (uint32_t i = 0; i < slice->count; i++)
		for (uint32_t j = 0; j < slice->actions.nr; j++)
			if (!write_register(fd, slice, region.offset, i, &slice->actions.writes[j],
					    why, size))
				return false;
	return true;
}

static bool reset_it(const struct vdb_device *device, char *why, size_t size)
{
	/* Another process may be using its config space. */
	for (int i = 0; i < RESET_TRIES; i++) {
		if (!vdb_device_reset(device))
			return true;
		if (errno != EAGAIN)
			break;
		usleep(RESET_PAUSE);
	}
	snprintf(why, size, "it cannot be reset: %s", strerror(errno));
	return false;
}

bool actions_run(const struct vdb_device *device, const struct slice *slices, size_t nr,
		 bool reset, char *why, size_t size)
{
	for (size_t i = 0; i < nr; i++)
		if (!write_registers(vdb_device_fd(device), &slices[i], why, size))
			return false;
	return !reset || reset_it(device, why, size);
}
