// SPDX-License-Identifier: MIT
/*
 * Importers lose a slice like all clients do, and before the device loses its memory.
 * The importer records the state of the exporter when it is notified.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "importer.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM		2	/* ivshmem's BAR that is plain memory */
#define NVME_VERSION	0x8	/* constant, neither 0 nor all ones */
#define NVME_CC		0x14
#define IVSHMEM_MASK	0x0	/* of interrupts, in BAR 0 */
#define DIRTY		0x00460000

static struct device dev;
static int slice, importer;
static unsigned int bar_nr;
static uint32_t expected;	/* at NVME_VERSION */
static unsigned int dirty_at;	/* in BAR 0, a register that a reset clears */

static void make_dirty(void)
{
	const uint32_t value = DIRTY;

	ck_assert_works(device_poke(&dev, 0, dirty_at, &value, 4));
}

static void attach_to(const char *name, unsigned int bar, unsigned int at)
{
	device_open(&dev, name);
	bar_nr = bar;
	dirty_at = at;
	make_dirty();
	slice = slice_new(&dev, bar, 0, PAGE);
	importer = importer_open();
	ck_assert_works(importer_attach_watching(importer, slice, &dev, 0, 0, at));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	ck_assert_works(device_peek(&dev, bar, NVME_VERSION, &expected, 4));
}

static void setup_mem(void)
{
	attach_to("IVSHMEM", MEM, IVSHMEM_MASK);
}

static void setup_nvme(void)
{
	attach_to("NVME", 0, NVME_CC);
	ck_assert_uint_ne(expected, 0);
}

static void setup_hot(void)
{
	attach_to("HOT0", MEM, IVSHMEM_MASK);
}

static unsigned int listed_importers(void)
{
	struct listed buffer;

	ck_assert(listing_find(dev.bdf, "slice", page_ranges("0+1"), &buffer));
	return buffer.importers;
}

/* It has been evicted so often by now, the last time before the memory went. */
static void check_told(unsigned int times)
{
	struct importer_status status = importer_status(importer);

	ck_assert_uint_eq(status.evicted, times);
	ck_assert_uint_eq(status.mapped, 0);
	ck_assert_msg(status.command & PCI_COMMAND_MEMORY,
		      "memory was disabled before the importer was told");
	ck_assert_uint_eq(status.power, 0);
	ck_assert_msg(status.value == DIRTY, "the device read %#x when the importer was told",
		      status.value);
}

static void check_evicted(unsigned int times)
{
	check_told(times);
	ck_assert_uint_eq(listed_importers(), 0);
}

static void check_suspended(void)
{
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
	ck_assert_fails(importer_map(importer, IMPORTER_READS), ENODEV);
}

static void check_live(void)
{
	uint32_t value = 0;

	make_dirty();
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	importer_read(importer, NVME_VERSION, &value, 4);
	ck_assert_uint_eq(value, expected);
	ck_assert_uint_eq(listed_importers(), 1);
}

START_TEST(memory_disabled)
{
	unsigned int notified;

	device_set_memory(&dev, false);
	check_evicted(1);
	check_suspended();
	notified = importer_status(importer).notified;
	device_set_memory(&dev, true);
	/* It is notified that it can map again. */
	importer_wait_notified(importer, notified + 1);
	check_live();
	device_set_memory(&dev, false);
	check_evicted(2);
}
END_TEST

/* Writes that cover the command register's low byte, wherever they begin. */
START_TEST(memory_disabled_by_any_write)
{
	static const struct { unsigned int offset, size; } writes[] = {
		{ 4, 1 }, { 4, 2 }, { 4, 4 }, { 2, 4 }, { 3, 2 }, { 0, 8 },
	};
	unsigned int i, offset, size;
	uint8_t bytes[8];

	for (i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
		offset = writes[i].offset;
		size = writes[i].size;
		ck_assert_works(device_peek(&dev, VFIO_PCI_CONFIG_REGION_INDEX,
					    offset, bytes, size));
		bytes[PCI_COMMAND - offset] &= ~PCI_COMMAND_MEMORY;
		ck_assert_works(device_poke(&dev, VFIO_PCI_CONFIG_REGION_INDEX,
					    offset, bytes, size));
		check_evicted(i + 1);
		check_suspended();
		bytes[PCI_COMMAND - offset] |= PCI_COMMAND_MEMORY;
		ck_assert_works(device_poke(&dev, VFIO_PCI_CONFIG_REGION_INDEX,
					    offset, bytes, size));
		check_live();
	}
}
END_TEST

static void check_undisturbed(void)
{
	struct importer_status status = importer_status(importer);

	ck_assert_uint_eq(status.mapped, 1);
	ck_assert_uint_eq(status.notified, 0);
}

START_TEST(harmless_writes_disturb_nobody)
{
	uint32_t command = config_read(&dev, PCI_COMMAND, 2), value = 0;

	config_write(&dev, PCI_COMMAND, 2, command);
	config_write(&dev, PCI_COMMAND, 1, command & 0xff);
	config_write(&dev, PCI_COMMAND, 2, command ^ PCI_COMMAND_MASTER);
	config_write(&dev, PCI_COMMAND, 4, command);
	config_write(&dev, PCI_COMMAND + 1, 1, PCI_COMMAND_INTX_DISABLE >> 8);
	config_write(&dev, PCI_CACHE_LINE_SIZE, 1, 16);
	config_write(&dev, PCI_STATUS, 2, 0);
	check_undisturbed();
	importer_read(importer, NVME_VERSION, &value, 4);
	ck_assert_uint_eq(value, expected);
}
END_TEST

START_TEST(harmless_writes_to_power_management_disturb_nobody)
{
	unsigned int pm = config_find_cap(&dev, PCI_CAP_ID_PM);

	ck_assert_uint_ne(pm, 0);
	device_set_power(&dev, 0);
	config_write(&dev, pm + PCI_PM_CTRL + 1, 1, 0);
	check_undisturbed();
}
END_TEST

/*
 * A transfer that has begun finishes while the memory is still enabled, also if an
 * importer (the second of two) only records the notification.
 */
static void start_transfer(const uint8_t *bar, bool late)
{
	uint8_t data[256];

	ck_assert_works(importer_detach(importer));
	ck_assert_works(importer_attach_watching(importer, slice, &dev,
						 late ? IMPORTER_LATE : 0, 0,
						 dirty_at));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	memset(data, 0x5a, sizeof(data));
	importer_write(importer, 0x800, data, sizeof(data));
	ck_assert_uint_eq(bar[0x100], 0);
	ck_assert_works(importer_start(importer, 0x100, sizeof(data), true));
}

static void check_transferred(const volatile uint8_t *bar)
{
	ck_assert_uint_eq(bar[0x100], 0x5a);
	ck_assert_uint_eq(bar[0x1ff], 0x5a);
	ck_assert_uint_eq(bar[0x200], 0);
}

START_TEST(closing_waits_for_a_running_transfer)
{
	uint8_t *bar = device_map(&dev, MEM, 0, PAGE);

	/* Memory that keeps its bytes, but a mapping would keep the device open. */
	memset(bar, 0, 0x800);
	start_transfer(bar, false);
	munmap(bar, PAGE);
	device_close(&dev);
	if (_i) {
		ck_assert_works(driver_unbind(dev.bdf));
		driver_rebind(dev.bdf);
	}
	device_open(&dev, "IVSHMEM");
	bar = device_map(&dev, MEM, 0, PAGE);
	check_transferred(bar);
	check_told(1);
}
END_TEST

START_TEST(suspension_waits_for_a_running_transfer)
{
	uint8_t *bar = device_map(&dev, MEM, 0, PAGE);

	memset(bar, 0, 0x800);
	start_transfer(bar, _i);
	device_set_memory(&dev, false);
	check_evicted(1);
	device_set_memory(&dev, true);
	check_transferred(bar);
}
END_TEST

START_TEST(revocation_waits_for_a_running_transfer)
{
	uint8_t *bar = device_map(&dev, MEM, 0, PAGE);

	memset(bar, 0, 0x800);
	start_transfer(bar, _i);
	ck_assert_works(slice_revoke(&dev, slice));
	check_transferred(bar);
	check_evicted(1);
}
END_TEST

/* Reads on in the kernel's log until there is such a line. */
static void wait_for_log(int kmsg, const char *text)
{
	char record[1024];
	ssize_t n;

	do {
		n = read(kmsg, record, sizeof(record) - 1);
		ck_assert(n > 0 || errno == EPIPE);
		record[n > 0 ? n : 0] = '\0';
	} while (!strstr(record, text));
}

/* It is waited for as long as it takes, and named. */
START_TEST(lazy_importer_is_waited_for_and_named)
{
	int kmsg = open("/dev/kmsg", O_RDONLY), status;
	char text[128];
	pid_t pid;

	ck_assert_works(kmsg);
	ck_assert_works(lseek(kmsg, 0, SEEK_END));
	snprintf(text, sizeof(text), "%s: a DMABUF of BAR %d is to be unmapped; "
		 "waiting for its importers, one of which is %s",
		 dev.bdf, MEM, lab_bdf("EDU2"));
	ck_assert_works(importer_detach(importer));
	ck_assert_works(importer_try_attach(importer, slice, &dev, IMPORTER_LAZY));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	pid = fork();
	ck_assert_works(pid);
	if (!pid)
		_exit(slice_revoke(&dev, slice) ? 1 : 0);
	wait_for_log(kmsg, text);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	ck_assert_uint_eq(importer_status(importer).notified, 1);
	ck_assert_works(importer_unmap(importer));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
}
END_TEST

static void check_revoked(void)
{
	check_evicted(1);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
	ck_assert_fails(importer_try_attach(importer_open(), slice, &dev, 0),
			ENODEV);
	ck_assert_works(importer_detach(importer));
}

START_TEST(revoked_for_good)
{
	int other = importer_attach(slice_new(&dev, bar_nr, 0, 2 * PAGE), &dev);
	struct importer_status status;

	ck_assert_works(importer_map(other, IMPORTER_BOTH));
	ck_assert_works(slice_revoke(&dev, slice));
	check_evicted(1);

	/* Other slices of the same pages have importers that notice nothing. */
	status = importer_status(other);
	ck_assert_uint_eq(status.mapped, 1);
	ck_assert_uint_eq(status.notified, 0);

	/* Nor does what brings others back bring this one back. */
	device_set_memory(&dev, false);
	device_set_memory(&dev, true);
	check_revoked();
	ck_assert_works(importer_map(other, IMPORTER_BOTH));
}
END_TEST

START_TEST(revoked_while_suspended)
{
	device_set_memory(&dev, false);
	ck_assert_works(slice_revoke(&dev, slice));
	device_set_memory(&dev, true);
	check_revoked();
}
END_TEST

START_TEST(closing_the_device_revokes)
{
	device_close(&dev);
	check_evicted(1);
	device_open(&dev, "IVSHMEM");
	check_revoked();
}
END_TEST

START_TEST(unbinding_the_exporter_revokes)
{
	struct importer_status status;

	device_close(&dev);
	ck_assert_works(driver_unbind(dev.bdf));
	status = importer_status(importer);
	ck_assert_uint_eq(status.mapped, 0);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
	ck_assert_works(importer_detach(importer));
	driver_rebind(dev.bdf);
}
END_TEST

static void enter_low_power(bool with_wakeup)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET |
				 VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
		.entry.wakeup_eventfd = eventfd(0, EFD_CLOEXEC),
	};

	if (with_wakeup)
		ck_assert_works(ioctl(dev.fd, VFIO_DEVICE_FEATURE, &request));
	else
		ck_assert_works(device_feature(&dev, VFIO_DEVICE_FEATURE_SET |
					       VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
}

START_TEST(power_state_d3)
{
	device_set_power(&dev, 3);
	check_evicted(1);
	check_suspended();
	device_set_power(&dev, 0);
	check_live();
}
END_TEST

START_TEST(low_power)
{
	enter_low_power(_i);
	check_evicted(1);
	check_suspended();
	ck_assert_works(device_feature(&dev, VFIO_DEVICE_FEATURE_SET |
				       VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	check_live();
}
END_TEST

static void reset_by_ioctl(void)
{
	ck_assert_works(device_reset(&dev));
}

static void reset_by_config(void)
{
	unsigned int pcie = config_find_cap(&dev, PCI_CAP_ID_EXP);

	config_write(&dev, pcie + PCI_EXP_DEVCTL, 2,
		     config_read(&dev, pcie + PCI_EXP_DEVCTL, 2) |
		     PCI_EXP_DEVCTL_BCR_FLR);
}

static void reset_by_sysfs(void)
{
	ck_assert_works(sysfs_write(dev.bdf, "reset", "1"));
}

static void (*const resets[])(void) = {
	reset_by_ioctl, reset_by_config, reset_by_sysfs,
};
#define NR_RESETS	((int)(sizeof(resets) / sizeof(*resets)))

START_TEST(reset)
{
	resets[_i]();
	check_evicted(1);
	check_live();
	resets[_i]();
	check_evicted(2);
}
END_TEST

static void power_by_config(void)
{
	device_set_power(&dev, 3);
}

static void power_by_feature(void)
{
	enter_low_power(false);
}

static void power_by_feature_with_wakeup(void)
{
	enter_low_power(true);
}

/*
 * The importer unmaps when its transfer is over, and finds the device as it was
 * before.
 */
START_TEST(transfer_ends_before_the_device_changes)
{
	static void (*const changes[])(void) = {
		reset_by_ioctl, reset_by_config, reset_by_sysfs,
		power_by_config, power_by_feature, power_by_feature_with_wakeup,
	};

	ck_assert_works(importer_detach(importer));
	ck_assert_works(importer_attach_watching(importer, slice, &dev, 0, 0, dirty_at));
	ck_assert_works(importer_map(importer, IMPORTER_READS));
	ck_assert_works(importer_start(importer, NVME_VERSION, 4, false));
	changes[_i]();
	check_evicted(1);
}
END_TEST
#define NR_CHANGES	6

START_TEST(reset_does_not_bring_disabled_memory_back)
{
	device_set_memory(&dev, false);
	resets[_i]();
	check_suspended();
	device_set_memory(&dev, true);
	check_live();
}
END_TEST

START_TEST(hot_reset_of_the_neighbour)
{
	struct {
		uint32_t argsz, flags, count;
		int32_t group;
	} request = { sizeof(request), 0, 1, dev.group };
	struct device other;

	device_open_sibling(&other, &dev, "HOT1");
	ck_assert_works(importer_start(importer, 0x100, 16, false));
	ck_assert_works(ioctl(other.fd, VFIO_DEVICE_PCI_HOT_RESET, &request));
	check_evicted(1);
	check_live();
	ck_assert_works(ioctl(dev.fd, VFIO_DEVICE_PCI_HOT_RESET, &request));
	check_evicted(2);
	check_live();
}
END_TEST

Suite *suite(void)
{
	const char *missing = importers_missing();
	Suite *s = suite_create("evict");
	TCase *tc = add_group(s, "memory");

	if (missing) {
		add_test_or_skip(tc, memory_disabled, missing);
		return s;
	}

	tcase_add_unchecked_fixture(tc, importer_bind, NULL);
	tcase_add_checked_fixture(tc, setup_mem, NULL);
	tcase_add_test(tc, memory_disabled);
	tcase_add_test(tc, memory_disabled_by_any_write);
	tcase_add_test(tc, harmless_writes_disturb_nobody);
	tcase_add_loop_test(tc, suspension_waits_for_a_running_transfer, 0, 2);
	tcase_add_loop_test(tc, revocation_waits_for_a_running_transfer, 0, 2);
	tcase_add_test(tc, lazy_importer_is_waited_for_and_named);
	tcase_add_loop_test(tc, closing_waits_for_a_running_transfer, 0, 2);
	tcase_add_test(tc, revoked_for_good);
	tcase_add_test(tc, revoked_while_suspended);
	tcase_add_test(tc, closing_the_device_revokes);
	tcase_add_test(tc, unbinding_the_exporter_revokes);

	tc = add_group(s, "nvme");
	tcase_add_checked_fixture(tc, setup_nvme, NULL);
	tcase_add_test(tc, power_state_d3);
	tcase_add_test(tc, harmless_writes_to_power_management_disturb_nobody);
	tcase_add_loop_test(tc, low_power, 0, 2);
	tcase_add_loop_test(tc, transfer_ends_before_the_device_changes, 0, NR_CHANGES);
	tcase_add_loop_test(tc, reset, 0, NR_RESETS);
	tcase_add_loop_test(tc, reset_does_not_bring_disabled_memory_back, 0,
			    NR_RESETS);

	tc = add_group(s, "hot_reset");
	tcase_add_unchecked_fixture(tc, NULL, importer_unbind);
	tcase_add_checked_fixture(tc, setup_hot, NULL);
	tcase_add_test(tc, hot_reset_of_the_neighbour);
	return s;
}
