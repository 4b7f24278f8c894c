// SPDX-License-Identifier: MIT
/*
 * System sleep is a suspension like a reset: the kernel's own test of it suspends
 * and resumes all devices.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers.h"
#include "client.h"
#include "device.h"
#include "importer.h"
#include "memory.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define PAGE		0x1000UL
#define RW		(PROT_READ | PROT_WRITE)
#define NVME_VERSION	0x8
#define MEM		2	/* ivshmem's BAR that is plain memory */
#define LEVEL		"/sys/power/pm_test"
#define DELAY		"/sys/module/suspend/parameters/pm_test_delay"
#define TRIES		5

static const char *sleep_missing(void)
{
	return access(LEVEL, W_OK) ? "this kernel has no " LEVEL : NULL;
}

/* EBUSY: something was about to wake the system, which the kernel tells apart. */
static void sleep_and_wake(const char *state)
{
	int tries = TRIES, ret;

	ck_assert_works(file_write(LEVEL, "devices"));
	ck_assert_works(file_write(DELAY, "0"));
	do {
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

static const char * const states[] = { "freeze", "mem" };

START_TEST(sleep_is_a_suspension)
{
	struct client *client = client_start(CLIENT_NOBODY);
	struct vfio_dmabuf_event before, after;
	int slice, events, of_device;
	struct device dev;
	char match[64];
	uint32_t version;
	long map;

	device_open(&dev, "NVME");
	slice = slice_new(&dev, 0, 0, PAGE);
	map = client_mmap(client, slice, 0, PAGE, RW);
	version = client_read32(client, map + NVME_VERSION);
	events = buffer_events(&dev, slice, 0, O_CLOEXEC | O_NONBLOCK);
	of_device = buffer_events(&dev, -1, 0, O_CLOEXEC | O_NONBLOCK);
	before = next(events);
	next(of_device);

	sleep_and_wake(states[_i]);

	after = next(events);
	ck_assert_uint_eq(after.state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_ge(after.changes, before.changes + 2);
	ck_assert_uint_eq(next(of_device).changes, after.changes);
	snprintf(match, sizeof(match), "device=%s reason=sleep", dev.bdf);
	ck_assert_uint_eq(trace_count("device_suspend", match), 1);
	ck_assert_uint_eq(trace_count("device_resume", match), 1);
	/* Without mapping it again; the page had been taken away. */
	ck_assert_uint_eq(client_read32(client, map + NVME_VERSION), version);
	ck_assert_uint_ge(trace_faults(dev.bdf, 0), 1);
	client_end(client);
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

	sleep_and_wake("freeze");

	ck_assert_uint_ge(importer_status(importer).evicted, 1);
	/* Once to unmap, once because it may map again. */
	ck_assert_uint_ge(importer_status(importer).notified, 2);
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

Suite *suite(void)
{
	const char *missing = sleep_missing();
	Suite *s = suite_create("sleep");
	TCase *tc = add_group(s, "mappings");

	if (missing)
		add_test_or_skip(tc, sleep_is_a_suspension, missing);
	else
		tcase_add_loop_test(tc, sleep_is_a_suspension, 0, 2);

	tc = add_group(s, "importers");
	missing = missing ?: importers_missing();
	if (!missing)
		tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	add_test_or_skip(tc, importers_are_evicted_before_sleep, missing);
	add_test_or_skip(tc, importer_that_keeps_its_mapping_keeps_the_system_awake, missing);
	return s;
}
