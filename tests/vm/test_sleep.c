// SPDX-License-Identifier: MIT
/*
 * System sleep is a suspension like a reset.  The kernel's own test of it suspends and
 * resumes all devices, and the system really sleeps until its clock wakes it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers.h"
#include "client.h"
#include "device.h"
#include "importer.h"
#include "kernel.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define RW		(PROT_READ | PROT_WRITE)
#define NVME_VERSION	0x8
#define NVME_CC		0x14	/* configuration: 0 after power-on */
#define CC		0x00460000U	/* sizes of queue entries; not enabled */
#define MEM		2	/* ivshmem's BAR that is plain memory */
#define LEVEL		"/sys/power/pm_test"
#define ALARM		"/sys/class/rtc/rtc0/wakealarm"
#define DELAY		"/sys/module/%s/parameters/pm_test_delay"
#define TRIES		5

static const char *sleep_missing(void)
{
	return access(LEVEL, W_OK) ? "this kernel has no " LEVEL : NULL;
}

/* EBUSY: a wake-up event was pending, which the kernel reports with this error. */
static void sleep_and_wake(const char *state, bool really)
{
	int tries = TRIES, ret;
	char delay[64];

	/* Older kernels have no name for hibernation's. */
	snprintf(delay, sizeof(delay), DELAY, strcmp(state, "disk") ? "suspend" : "hibernate");
	if (!access(delay, F_OK))
		ck_assert_works(file_write(delay, "0"));
	ck_assert_works(file_write(LEVEL, really ? "none" : "devices"));
	do {
		if (really) {
			ck_assert_works(file_write(ALARM, "0"));
			ck_assert_works(file_write(ALARM, "+3"));
		}
		trace_start();
		ret = file_write("/sys/power/state", state);
	} while (ret && errno == EBUSY && --tries);
	ck_assert_works(ret);
	ck_assert_works(file_write(LEVEL, "none"));
}

static struct vfio_dmabuf_event next(int events)
{
	struct vfio_dmabuf_event event;

	ck_assert_int_eq(read(events, &event, sizeof(event)), sizeof(event));
	return event;
}

/* The kernel's test of it suspends and resumes all devices. */
static void check_sleep(const char *state, bool really)
{
	struct client *client = client_start(CLIENT_NOBODY);
	struct vfio_dmabuf_event before, after;
	int slice, other, events, of_device;
	struct device dev;
	char match[64];
	uint32_t version, value;
	long map, revoked;

	device_open(&dev, "NVME");
	slice = slice_new(&dev, 0, 0, PAGE);
	map = client_mmap(client, slice, 0, PAGE, RW);
	version = client_read32(client, map + NVME_VERSION);
	client_write32(client, map + NVME_CC, CC);
	ck_assert_uint_eq(client_read32(client, map + NVME_CC), CC);
	revoked = client_mmap(client, other = slice_new(&dev, 0, 0, PAGE), 0, PAGE, RW);
	ck_assert_works(slice_revoke(&dev, other));
	events = buffer_events(&dev, slice, 0, O_CLOEXEC | O_NONBLOCK);
	of_device = buffer_events(&dev, -1, 0, O_CLOEXEC | O_NONBLOCK);
	before = next(events);
	next(of_device);

	sleep_and_wake(state, really);

	after = next(events);
	ck_assert_uint_eq(after.state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_ge(after.changes, before.changes + 2);
	ck_assert_uint_eq(next(of_device).changes, after.changes);
	snprintf(match, sizeof(match), "device=%s reason=sleep", dev.bdf);
	ck_assert_uint_eq(trace_count("device_suspend", match), 1);
	ck_assert_uint_eq(trace_count("device_resume", match), 1);
	/* Without a new mapping. The page had been zapped. */
	ck_assert_uint_eq(client_read32(client, map + NVME_VERSION), version);
	ck_assert_uint_ge(trace_faults(dev.bdf, 0), 1);
	/* The device was without power, so it has lost what was written to it. */
	ck_assert_uint_eq(client_read32(client, map + NVME_CC), really ? 0 : CC);
	ck_assert_int_eq(client_try_read32(client, revoked, &value), SIGBUS);
	client_end(client);
}

/* s2idle really: the clock of this machine does not end it. */
static const char * const states[] = { "freeze", "mem" };

START_TEST(sleep_is_a_suspension)
{
	check_sleep(states[_i], false);
}
END_TEST

START_TEST(hibernation_is_a_suspension)
{
	check_sleep("disk", false);
}
END_TEST

START_TEST(sleep_without_power_is_a_suspension)
{
	check_sleep("mem", true);
}
END_TEST

START_TEST(importers_are_evicted_before_sleep)
{
	struct device dev;
	int slice, importer;
	uint32_t value = 0;

	device_open(&dev, "IVSHMEM");
	slice = slice_new(&dev, MEM, 0, PAGE);
	importer = importer_attach(slice, &dev);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));

	sleep_and_wake("freeze", false);

	ck_assert_uint_ge(importer_status(importer).evicted, 1);
	/* Once to unmap, once because it may map again. */
	importer_wait_notified(importer, 2);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	importer_write(importer, 0, "slept", 4);
	ck_assert_works(device_peek(&dev, MEM, 0, &value, 4));
	ck_assert_mem_eq(&value, "slep", 4);
}
END_TEST

START_TEST(importer_that_keeps_its_mapping_keeps_the_system_awake)
{
	struct vfio_dmabuf_event before;
	struct vfio_dmabuf_buffer info;
	int slice, importer, events;
	struct device dev;

	device_open(&dev, "IVSHMEM");
	slice = slice_new(&dev, MEM, 0, PAGE);
	events = buffer_events(&dev, slice, 0, O_CLOEXEC | O_NONBLOCK);
	before = next(events);
	importer = importer_open();
	ck_assert_works(importer_try_attach(importer, slice, &dev, IMPORTER_LAZY));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));

	ck_assert_works(file_write(LEVEL, "devices"));
	ck_assert_fails(file_write("/sys/power/state", "freeze"), EBUSY);
	ck_assert_works(file_write(LEVEL, "none"));

	/* Nothing has changed for the slice. */
	ck_assert_works(buffer_info(&dev, slice, 0, &info));
	ck_assert_uint_eq(info.state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_fails(read(events, &before, sizeof(before)), EAGAIN);
	ck_assert_works(importer_unmap(importer));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	ck_assert_works(importer_unmap(importer));
}
END_TEST

static const char *hibernation_missing(void)
{
	char names[64] = "";

	file_read("/sys/power/state", names, sizeof(names));
	return strstr(names, "disk") ? NULL : "this kernel has no hibernation";
}

/*
 * After S3 the machine's firmware does not restore PCI Express's extended config space,
 * with any driver.
 */
static const char *boot_missing(void)
{
	return kernel_started_with("lab.sleep") ? NULL : "it has a boot of its own";
}

Suite *suite(void)
{
	const char *missing = sleep_missing();
	Suite *s = suite_create("sleep");
	TCase *tc = add_group(s, "mappings");

	if (missing)
		add_test_or_skip(tc, sleep_is_a_suspension, missing);
	else
		tcase_add_loop_test(tc, sleep_is_a_suspension, 0, 2);

	add_test_or_skip(tc, hibernation_is_a_suspension, missing ?: hibernation_missing());
	add_test_or_skip(tc, sleep_without_power_is_a_suspension, missing ?: boot_missing());

	tc = add_group(s, "importers");
	missing = missing ?: importers_missing();
	if (!missing)
		tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	add_test_or_skip(tc, importers_are_evicted_before_sleep, missing);
	add_test_or_skip(tc, importer_that_keeps_its_mapping_keeps_the_system_awake, missing);
	return s;
}
