// SPDX-License-Identifier: MIT
/* The owner's thread that suspends the device. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "keeper.h"
#include "suite.h"
#include "sysfs.h"

static uint32_t config_get(const struct kept *kept, unsigned int at)
{
	off_t offset = ((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + at;
	uint16_t value = 0;

	keeper_check(kept, "config read",
		     pread(kept->dev.fd, &value, sizeof(value), offset) == sizeof(value), errno);
	return value;
}

static void config_set(const struct kept *kept, unsigned int at, uint16_t value)
{
	off_t offset = ((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + at;

	keeper_check(kept, "config write",
		     pwrite(kept->dev.fd, &value, sizeof(value), offset) == sizeof(value), errno);
}

static void pause_some(struct random *random)
{
	if (random_chance(random, 70))
		usleep(random_below(random, 4000));
}

static void memory(struct kept *kept, struct random *random)
{
	uint32_t command = config_get(kept, PCI_COMMAND);

	config_set(kept, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	pause_some(random);
	config_set(kept, PCI_COMMAND, command | PCI_COMMAND_MEMORY);
}

static void d3(struct kept *kept, struct random *random)
{
	uint32_t control = config_get(kept, kept->pm + PCI_PM_CTRL) & ~PCI_PM_CTRL_STATE_MASK;

	config_set(kept, kept->pm + PCI_PM_CTRL, control | 3);
	pause_some(random);
	config_set(kept, kept->pm + PCI_PM_CTRL, control);
}

static void low_power(struct kept *kept, struct random *random)
{
	const uint32_t set = VFIO_DEVICE_FEATURE_SET;

	keeper_check(kept, "low power entry",
		     !device_feature(&kept->dev, set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY), errno);
	pause_some(random);
	keeper_check(kept, "low power exit",
		     !device_feature(&kept->dev, set | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT), errno);
}

static void reset(struct kept *kept, struct random *random)
{
	(void)random;
	/* EAGAIN: the kernel uses the device, for a system sleep. */
	keeper_check(kept, "VFIO_DEVICE_RESET", !device_reset(&kept->dev) || errno == EAGAIN, errno);
}

static void flr(struct kept *kept, struct random *random)
{
	unsigned int at = kept->express + PCI_EXP_DEVCTL;

	(void)random;
	config_set(kept, at, config_get(kept, at) | PCI_EXP_DEVCTL_BCR_FLR);
}

static void sysfs_reset(struct kept *kept, struct random *random)
{
	(void)random;
	keeper_check(kept, "sysfs reset", !sysfs_write(kept->dev.bdf, "reset", "1"), errno);
}

static void hot_reset(struct kept *kept, struct random *random)
{
	struct {
		uint32_t argsz, flags, count;
		int32_t group;
	} request = { sizeof(request), 0, 1, kept->dev.group };

	(void)random;
	if (!ioctl(kept->dev.fd, VFIO_DEVICE_PCI_HOT_RESET, &request))
		return;
	keeper_check(kept, "hot reset", errno == EBUSY || errno == EAGAIN, errno);
	operation_count(OP_HOT_RESET_BUSY, 1);
}

static const struct {
	unsigned int does;
	enum operation op;
	void (*run)(struct kept *kept, struct random *random);
	bool group;		/* all devices of the owner */
} suspensions[] = {
	{ DOES_MEMORY, OP_MEMORY, memory, false },
	{ DOES_D3, OP_D3, d3, false },
	{ DOES_LOW_POWER, OP_LOW_POWER, low_power, false },
	{ DOES_RESET, OP_RESET, reset, false },
	{ DOES_FLR, OP_FLR, flr, false },
	{ DOES_SYSFS, OP_SYSFS_RESET, sysfs_reset, false },
	{ DOES_HOT, OP_HOT_RESET, hot_reset, true },
};
#define NR_SUSPENSIONS	(sizeof(suspensions) / sizeof(*suspensions))

static void each_device(struct kept *kept, bool group, void (*fn)(unsigned int device))
{
	struct keeper *keeper = kept->keeper;
	int i;

	if (!group)
		fn(kept->index);
	for (i = 0; group && i < keeper->nr; i++)
		fn(keeper->kept[i].index);
}

static void suspend(struct kept *kept, struct random *random)
{
	size_t i = random_below(random, NR_SUSPENSIONS);

	while (!(kept->board->does & suspensions[i].does))
		i = (i + 1) % NR_SUSPENSIONS;
	pthread_rwlock_rdlock(&kept->keeper->open);
	pthread_rwlock_rdlock(&board->bus);
	operation_begin(suspensions[i].op);
	each_device(kept, suspensions[i].group, suspension_begin);
	suspensions[i].run(kept, random);
	each_device(kept, suspensions[i].group, suspension_end);
	operation_end();
	pthread_rwlock_unlock(&board->bus);
	pthread_rwlock_unlock(&kept->keeper->open);
}

static void *unbind(void *bdf)
{
	/* Waits until the device is closed. */
	driver_unbind(bdf);
	return NULL;
}

static void reopen(struct kept *kept, struct random *random)
{
	struct keeper *keeper = kept->keeper;
	const char *bdf = kept->dev.bdf;
	bool remove = kept->board->does & DOES_REMOVE && !board->still && random_chance(random, 30);
	bool rebind = remove || (kept->board->does & DOES_UNBIND && random_chance(random, 40));
	bool early = rebind && random_chance(random, 50);
	pthread_t unbinder;
	int i;

	pthread_rwlock_wrlock(&keeper->open);
	if (remove)
		pthread_rwlock_wrlock(&board->bus);
	else
		pthread_rwlock_rdlock(&board->bus);
	operation_begin(remove ? OP_REMOVE : rebind ? OP_UNBIND : OP_REOPEN);
	keeper_mark(keeper, false);
	if (early)
		early = !pthread_create(&unbinder, NULL, unbind, (void *)bdf);
	if (early)
		pause_some(random);
	keeper_close(keeper);
	keeper_mark(keeper, true);
	if (early)
		pthread_join(unbinder, NULL);
	else if (rebind)
		keeper_check(kept, "unbind", !driver_unbind(bdf), errno);
	if (remove) {
		keeper_check(kept, "remove", !sysfs_write(bdf, "remove", "1"), errno);
		rescan_begin();
		keeper_check(kept, "rescan", !file_write("/sys/bus/pci/rescan", "1"), errno);
		rescan_end();
	}
	keeper_open(keeper);
	for (i = 0; i < keeper->nr; i++)
		exporter_reopened(&keeper->kept[i]);
	operation_end();
	pthread_rwlock_unlock(&board->bus);
	pthread_rwlock_unlock(&keeper->open);
}

/*
 * Only devices that are open alone, so that their last close resets neither a bus nor
 * the device.
 */
#define RESTS	(DOES_RESET | DOES_HOT)

void disturber_step(struct kept *kept, struct random *random)
{
	if (board->still) {
		usleep(100000 + random_below(random, 200000));
		if (kept->board->does & DOES_REOPEN && !(kept->board->does & RESTS))
			reopen(kept, random);
		return;
	}
	if (kept->board->does & DOES_REOPEN && random_chance(random, 4))
		reopen(kept, random);
	else
		suspend(kept, random);
	usleep(random_below(random, 20000));
}
