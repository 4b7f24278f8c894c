// SPDX-License-Identifier: MIT
/*
 * Access that is away for a time: memory disabled, D3, low power and resets,
 * through a mapping of the device fd, one of a slice, and a client's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "hammer.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define RW		(PROT_READ | PROT_WRITE)
#define NVME_VERSION	0x8	/* constant, neither 0 nor all ones */
#define E1000E_STATUS	0x8

static struct client *client;
static struct device dev;
static int slice;
static void *by_device, *by_slice;
static long by_client;
static uint32_t expected;	/* what reads as @at */
static unsigned int at;

static void map_all(const char *name, unsigned int bar, unsigned int offset)
{
	client = client_start(CLIENT_NOBODY);
	device_open(&dev, name);
	at = offset;
	slice = slice_new(&dev, bar, 0, PAGE);
	by_device = device_map(&dev, bar, 0, PAGE);
	by_slice = slice_map(slice, 0, PAGE);
	by_client = client_mmap(client, slice, 0, PAGE, RW);
	ck_assert_works(device_peek(&dev, bar, at, &expected, 4));
	ck_assert_uint_ne(expected, ~0u);
}

static void setup_nvme(void)
{
	map_all("NVME", 0, NVME_VERSION);
	ck_assert_uint_ne(expected, 0);
}

static void setup_e1000e(void)
{
	map_all("E1000E", 0, E1000E_STATUS);
}

static void teardown(void)
{
	client_end(client);
}

static void check_live(void)
{
	ck_assert_uint_eq(read32(by_device + at), expected);
	ck_assert_uint_eq(read32(by_slice + at), expected);
	ck_assert_uint_eq(client_read32(client, by_client + at), expected);
}

static void check_suspended(void)
{
	uint32_t value;

	ck_assert_int_eq(try_read32(by_device + at, &value), SIGBUS);
	ck_assert_int_eq(try_read32(by_slice + at, &value), SIGBUS);
	ck_assert_int_eq(client_try_read32(client, by_client + at, &value), SIGBUS);
	ck_assert_int_eq(try_write32(by_slice + at, 0), SIGBUS);
}

START_TEST(memory_disabled)
{
	check_live();
	device_set_memory(&dev, false);
	check_suspended();
	device_set_memory(&dev, true);
	check_live();
}
END_TEST

/* The command register is one half of a word that other accesses span. */
START_TEST(memory_disabled_by_an_access_of_any_size)
{
	uint32_t command = config_read(&dev, PCI_COMMAND, 2);

	check_live();
	config_write(&dev, PCI_COMMAND, 1, command & ~PCI_COMMAND_MEMORY & 0xff);
	check_suspended();
	config_write(&dev, PCI_COMMAND, 1, command & 0xff);
	check_live();
	config_write(&dev, PCI_COMMAND, 4, command & ~PCI_COMMAND_MEMORY);
	check_suspended();
	config_write(&dev, PCI_COMMAND, 4, command);
	check_live();
}
END_TEST

START_TEST(harmless_writes_disturb_nobody)
{
	uint32_t command = config_read(&dev, PCI_COMMAND, 2);

	check_live();
	trace_start();
	config_write(&dev, PCI_COMMAND, 2, command ^ PCI_COMMAND_MASTER);
	config_write(&dev, PCI_COMMAND, 2, command);
	config_write(&dev, PCI_CACHE_LINE_SIZE, 1, 16);
	check_live();
	ck_assert_uint_eq(trace_faults(dev.bdf, 0), 0);
}
END_TEST

START_TEST(mappings_made_while_suspended_work_later)
{
	void *map;
	int fd;
	uint32_t value;

	device_set_memory(&dev, false);
	map = device_map(&dev, 0, 0, PAGE);
	fd = slice_new(&dev, 0, 0, PAGE);
	by_slice = slice_map(fd, 0, PAGE);
	ck_assert_int_eq(try_read32(map, &value), SIGBUS);
	ck_assert_int_eq(try_read32(by_slice, &value), SIGBUS);
	device_set_memory(&dev, true);
	ck_assert_uint_eq(read32(map + at), expected);
	check_live();
}
END_TEST

START_TEST(power_state_d3)
{
	check_live();
	device_set_power(&dev, 3);
	check_suspended();
	device_set_power(&dev, 0);
	check_live();
}
END_TEST

START_TEST(low_power)
{
	const uint32_t set = VFIO_DEVICE_FEATURE_SET;

	check_live();
	ck_assert_works(device_feature(&dev, set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	check_suspended();
	ck_assert_works(device_feature(&dev, set | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
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
	uint32_t control;

	ck_assert_uint_ne(pcie, 0);
	ck_assert(config_read(&dev, pcie + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	control = config_read(&dev, pcie + PCI_EXP_DEVCTL, 2);
	config_write(&dev, pcie + PCI_EXP_DEVCTL, 2,
		     control | PCI_EXP_DEVCTL_BCR_FLR);
}

static void reset_by_sysfs(void)
{
	ck_assert_works(sysfs_write(dev.bdf, "reset", "1"));
}

/* Every way in which a single function is reset. */
static const struct {
	const char *name;
	void (*reset)(void);
} resets[] = {
	{ "VFIO_DEVICE_RESET", reset_by_ioctl },
	{ "config space", reset_by_config },
	{ "sysfs", reset_by_sysfs },
};
#define NR_RESETS	((int)(sizeof(resets) / sizeof(*resets)))

START_TEST(mappings_work_after_a_reset)
{
	check_live();
	resets[_i].reset();
	check_live();
}
END_TEST

/* A mapping that kept its pages would let accesses through to the reset device. */
START_TEST(reset_takes_the_pages_away_before_it_starts)
{
	const char *names[8];
	struct trace_event *events;
	size_t nr, i, kept = 0;

	check_live();
	trace_start();
	resets[_i].reset();
	read32(by_device + at);
	read32(by_slice + at);
	client_read32(client, by_client + at);

	nr = trace_read(&events);
	for (i = 0; i < nr; i++) {
		ck_assert_ptr_nonnull(strstr(events[i].fields, dev.bdf));
		/* The core's own suspension can be seen besides the reset's. */
		if (strstr(events[i].fields, "reason=memory"))
			continue;
		ck_assert_uint_lt(kept, 8);
		names[kept++] = events[i].name;
	}
	ck_assert_uint_eq(kept, 5);
	ck_assert_str_eq(names[0], "device_suspend");
	ck_assert_str_eq(names[1], "device_resume");
	for (i = 2; i < 5; i++)
		ck_assert_str_eq(names[i], "buffer_fault");
	free(events);
}
END_TEST

/*
 * The kernel disables memory for the 100 ms and more of a reset. A read that reaches
 * the bus in that time does not return the register's value.
 */
START_TEST(readers_wait_for_resets_and_go_on)
{
	struct hammer *h[2];
	int round, i;

	h[0] = hammer_start(by_device + at, 4, 4);
	h[1] = hammer_start(by_slice + at, 4, 4);
	for (i = 0; i < 2; i++)
		hammer_expect(h[i], expected);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 2; i++)
			hammer_wait(h[i], 500);
		resets[_i].reset();
	}
	for (i = 0; i < 2; i++) {
		hammer_wait(h[i], 500);
		hammer_end(h[i]);
		ck_assert_msg(!hammer_sigbus(h[i]), "reset by %s: %lu SIGBUS",
			      resets[_i].name, hammer_sigbus(h[i]));
		ck_assert_msg(!hammer_wrong(h[i]),
			      "reset by %s: %lu reads got through",
			      resets[_i].name, hammer_wrong(h[i]));
	}
}
END_TEST

START_TEST(reset_leaves_disabled_memory_disabled)
{
	check_live();
	device_set_memory(&dev, false);
	resets[_i].reset();
	check_suspended();
	device_set_memory(&dev, true);
	check_live();
}
END_TEST

START_TEST(revoked_stays_revoked_over_a_reset)
{
	uint32_t value;

	check_live();
	ck_assert_works(slice_revoke(&dev, slice));
	resets[_i].reset();
	ck_assert_int_eq(try_read32(by_slice, &value), SIGBUS);
	ck_assert_int_eq(client_try_read32(client, by_client, &value), SIGBUS);
	ck_assert_uint_eq(read32(by_device + at), expected);
}
END_TEST

/* The set's two functions are in one group, whose fd is the right to both. */
static int hot_reset(const struct device *function)
{
	struct {
		uint32_t argsz, flags, count;
		int32_t group;
	} request = { sizeof(request), 0, 1, function->group };

	return ioctl(function->fd, VFIO_DEVICE_PCI_HOT_RESET, &request);
}

#define MEM	2	/* ivshmem's BAR that is plain memory */

START_TEST(hot_reset_of_the_neighbour)
{
	struct hammer *h[2];
	struct device other;
	int round, i;
	void *others;

	map_all("HOT0", MEM, 0);
	device_open_sibling(&other, &dev, "HOT1");
	others = device_map(&other, MEM, 0, PAGE);
	check_live();
	read32(others);

	trace_start();
	ck_assert_works(hot_reset(&other));
	check_live();
	read32(others);
	ck_assert_uint_eq(trace_faults(dev.bdf, MEM), 3);
	ck_assert_uint_eq(trace_faults(other.bdf, MEM), 1);
	ck_assert_uint_eq(trace_count("device_suspend", "reason=reset"), 2);
	ck_assert_uint_eq(trace_count("device_resume", "reason=reset"), 2);

	write32(by_device, 0x4073);
	write32(others, 0x4073);
	h[0] = hammer_start(by_slice, 4, 4);
	h[1] = hammer_start(others, 4, 4);
	for (i = 0; i < 2; i++)
		hammer_expect(h[i], 0x4073);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 2; i++)
			hammer_wait(h[i], 500);
		ck_assert_works(hot_reset(round % 2 ? &dev : &other));
	}
	for (i = 0; i < 2; i++) {
		hammer_wait(h[i], 500);
		hammer_end(h[i]);
		ck_assert_uint_eq(hammer_sigbus(h[i]), 0);
		ck_assert_uint_eq(hammer_wrong(h[i]), 0);
	}
	client_end(client);
}
END_TEST

START_TEST(listing_and_trace_tell)
{
	struct listed buffer;

	check_live();
	trace_start();
	device_set_memory(&dev, false);
	ck_assert(listing_find(dev.bdf, "slice", page_ranges("0+1"), &buffer));
	ck_assert_str_eq(buffer.state, "suspended");
	ck_assert_uint_eq(trace_count("device_suspend", dev.bdf), 1);
	ck_assert_uint_eq(trace_count("device_resume", dev.bdf), 0);
	device_set_memory(&dev, true);
	ck_assert(listing_find(dev.bdf, "slice", page_ranges("0+1"), &buffer));
	ck_assert_str_eq(buffer.state, "live");
	ck_assert_uint_eq(trace_count("device_resume", dev.bdf), 1);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("suspend");
	TCase *tc = add_group(s, "nvme");

	tcase_add_checked_fixture(tc, setup_nvme, teardown);
	tcase_add_test(tc, memory_disabled);
	tcase_add_test(tc, memory_disabled_by_an_access_of_any_size);
	tcase_add_test(tc, harmless_writes_disturb_nobody);
	tcase_add_test(tc, mappings_made_while_suspended_work_later);
	tcase_add_test(tc, power_state_d3);
	tcase_add_test(tc, low_power);
	tcase_add_test(tc, listing_and_trace_tell);
	tcase_add_loop_test(tc, mappings_work_after_a_reset, 0, NR_RESETS);
	tcase_add_loop_test(tc, reset_takes_the_pages_away_before_it_starts, 0,
			    NR_RESETS);
	tcase_add_loop_test(tc, readers_wait_for_resets_and_go_on, 0, NR_RESETS);
	tcase_add_loop_test(tc, reset_leaves_disabled_memory_disabled, 0,
			    NR_RESETS);
	tcase_add_loop_test(tc, revoked_stays_revoked_over_a_reset, 0, NR_RESETS);

	tc = add_group(s, "e1000e");
	tcase_add_checked_fixture(tc, setup_e1000e, teardown);
	tcase_add_test(tc, memory_disabled);
	tcase_add_test(tc, power_state_d3);

	tc = add_group(s, "hot_reset");
	tcase_add_test(tc, hot_reset_of_the_neighbour);
	return s;
}
