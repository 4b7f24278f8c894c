/* SPDX-License-Identifier: MIT */
/*
 * The generic driver: registers are written and the device is reset between two leases, so
 * that nothing of the first is left for the second.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/fds.h"
#include "driver.h"

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

/* driven->own: not NULL once the device does DMA for leases. */
static bool start_dma(struct driven *driven, char *why, size_t size)
{
	if (!vdb_device_set_bus_master(driven->device, true)) {
		driven->own = driven;
		return true;
	}
	snprintf(why, size, "its DMA cannot be enabled: %s", strerror(errno));
	return false;
}

static bool open_it(struct driven *driven, char *why, size_t size)
{
	(void)driven, (void)why, (void)size;
	return true;
}

/* VFIO keeps them over a reset. */
static void end_interrupts(const struct vdb_device *device)
{
	struct vfio_irq_set none = {
		.argsz = sizeof(none),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};

	/* It fails if there are none. */
	ioctl(vdb_device_fd(device), VFIO_DEVICE_SET_IRQS, &none);
}

static bool adopt(struct driven *driven, int stored, const struct lent *leases, size_t nr,
		  char *why, size_t size)
{
	(void)leases;
	/*
	 * The configuration named another driver before.  What that driver has set up on
	 * the device, such as queues in the memory of leases, must not continue.
	 */
	if (stored >= 0) {
		fd_close(stored);
		end_interrupts(driven->device);
		if (!reset_it(driven->device, why, size))
			return false;
	}
	return !nr || start_dma(driven, why, size);
}

static bool run(struct driven *driven, const struct slice *slices, size_t nr, bool reset,
		char *why, size_t size)
{
	for (size_t i = 0; i < nr; i++)
		if (!write_registers(vdb_device_fd(driven->device), &slices[i], why, size))
			return false;
	if (!reset)
		return true;
	/* A reset ends DMA, also that for other leases. */
	return reset_it(driven->device, why, size) &&
	       (!driven->own || start_dma(driven, why, size));
}

static bool prepare(struct driven *driven, const struct slice *slices, size_t nr, bool reset,
		    char *why, size_t size)
{
	return run(driven, slices, nr, reset, why, size);
}

static bool lease_begin(struct driven *driven, const struct lent *lease, char *why, size_t size)
{
	return !lease->length || start_dma(driven, why, size);
}

static bool lease_end(struct driven *driven, const struct lent *lease, bool reset, char *why,
		      size_t size)
{
	return run(driven, lease->slice, 1, reset, why, size);
}

static void close_it(struct driven *driven, bool leaves)
{
	(void)leaves;
	driven->own = NULL;
}

const struct driver driver_generic = {
	.name = "generic",
	.open = open_it,
	.adopt = adopt,
	.prepare = prepare,
	.lease_begin = lease_begin,
	.lease_end = lease_end,
	.close = close_it,
};
