// SPDX-License-Identifier: MIT
/* The fd that reports suspension, resumption and revocation. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers.h"
#include "client.h"
#include "device.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

static struct device dev;
static int slice, events;

static int events_open(const struct device *device, int dmabuf, uint32_t flags)
{
	return buffer_events(device, dmabuf, 0, flags);
}

static void setup(void)
{
	device_open(&dev, "NVME");
	slice = slice_new(&dev, 0, 0, PAGE);
	events = events_open(&dev, slice, O_CLOEXEC | O_NONBLOCK);
	ck_assert_works(events);
}

static int polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ck_assert_works(poll(&p, 1, 0));
	return p.revents;
}

static struct vfio_dmabuf_event next(int fd)
{
	struct vfio_dmabuf_event event;

	ck_assert_int_ne(polled(fd) & POLLIN, 0);
	ck_assert_int_eq(read(fd, &event, sizeof(event)), sizeof(event));
	ck_assert_uint_eq(event.reserved, 0);
	return event;
}

static void check_quiet(int fd)
{
	struct vfio_dmabuf_event event;

	ck_assert_int_eq(polled(fd), 0);
	ck_assert_fails(read(fd, &event, sizeof(event)), EAGAIN);
}

START_TEST(first_read_says_what_is)
{
	int other;

	ck_assert_uint_eq(next(events).state, VFIO_DMABUF_STATE_LIVE);
	check_quiet(events);

	device_set_memory(&dev, false);
	other = events_open(&dev, slice, O_NONBLOCK);
	ck_assert_works(other);
	ck_assert_uint_eq(next(other).state, VFIO_DMABUF_STATE_SUSPENDED);
	check_quiet(other);
}
END_TEST

START_TEST(disabled_memory_is_reported)
{
	uint64_t before = next(events).changes;
	struct vfio_dmabuf_event event;

	device_set_memory(&dev, false);
	event = next(events);
	ck_assert_uint_eq(event.state, VFIO_DMABUF_STATE_SUSPENDED);
	ck_assert_uint_eq(event.changes, before + 1);
	check_quiet(events);

	/* For two reasons, of which the first remains. */
	ck_assert_works(sysfs_write(dev.bdf, "reset", "1"));
	check_quiet(events);

	device_set_memory(&dev, true);
	event = next(events);
	ck_assert_uint_eq(event.state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_eq(event.changes, before + 2);
	check_quiet(events);
}
END_TEST

START_TEST(low_power_is_reported)
{
	uint32_t set = VFIO_DEVICE_FEATURE_SET;

	next(events);
	ck_assert_works(device_feature(&dev, set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	ck_assert_uint_eq(next(events).state, VFIO_DMABUF_STATE_SUSPENDED);
	ck_assert_works(device_feature(&dev, set | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	ck_assert_uint_eq(next(events).state, VFIO_DMABUF_STATE_LIVE);
}
END_TEST

/* A suspension that begins and ends between two reads shows in the count. */
START_TEST(resets_are_reported)
{
	uint64_t before = next(events).changes;
	struct vfio_dmabuf_event event;

	if (_i)
		ck_assert_works(sysfs_write(dev.bdf, "reset", "1"));
	else
		ck_assert_works(device_reset(&dev));
	event = next(events);
	ck_assert_uint_eq(event.state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_eq(event.changes, before + 2);
	check_quiet(events);
}
END_TEST

START_TEST(revocation_is_the_end)
{
	char buf[64];

	next(events);
	ck_assert_works(slice_revoke(&dev, slice));
	ck_assert_int_ne(polled(events) & POLLHUP, 0);
	ck_assert_uint_eq(next(events).state, VFIO_DMABUF_STATE_REVOKED);
	ck_assert_int_eq(read(events, buf, sizeof(buf)), 0);
	ck_assert_int_eq(polled(events), POLLIN | POLLHUP);

	/* Nor does what becomes of the others bring anything more. */
	ck_assert_works(device_reset(&dev));
	ck_assert_int_eq(read(events, buf, sizeof(buf)), 0);
	device_close(&dev);
	ck_assert_int_eq(read(events, buf, sizeof(buf)), 0);
}
END_TEST

START_TEST(revocation_of_another_slice_is_not_reported)
{
	int other = slice_new(&dev, 0, 0, PAGE);

	next(events);
	ck_assert_works(slice_revoke(&dev, other));
	check_quiet(events);
}
END_TEST

START_TEST(closing_and_unbinding_are_reported)
{
	next(events);
	if (_i) {
		/* Unbinding waits for us to close it. */
		device_close(&dev);
		driver_rebind(lab_bdf("NVME"));
	} else {
		device_close(&dev);
	}
	ck_assert_uint_eq(next(events).state, VFIO_DMABUF_STATE_REVOKED);
	close(slice);
	ck_assert_int_eq(polled(events), POLLIN | POLLHUP);
}
END_TEST

START_TEST(every_open_file_is_notified)
{
	int other = events_open(&dev, slice, O_CLOEXEC | O_NONBLOCK);
	int same = dup(events);

	next(events);
	next(other);
	ck_assert_works(device_reset(&dev));
	next(events);
	check_quiet(same);
	next(other);
}
END_TEST

static void *revoke_when_asked(void *go)
{
	char byte;

	ck_assert_int_eq(read(*(int *)go, &byte, 1), 1);
	ck_assert_works(slice_revoke(&dev, slice));
	return NULL;
}

/* The read may wait, or come late; the answer is the same. */
START_TEST(reader_is_woken)
{
	struct vfio_dmabuf_event event;
	pthread_t thread;
	int go[2];

	ck_assert_works(fcntl(events, F_SETFL, 0));
	next(events);
	ck_assert_works(pipe(go));
	ck_assert_int_eq(pthread_create(&thread, NULL, revoke_when_asked, &go[0]), 0);
	ck_assert_int_eq(write(go[1], "", 1), 1);
	ck_assert_int_eq(read(events, &event, sizeof(event)), sizeof(event));
	ck_assert_uint_eq(event.state, VFIO_DMABUF_STATE_REVOKED);
	pthread_join(thread, NULL);
}
END_TEST

static long poll_and_try(const struct client_step *step)
{
	struct pollfd p = { .fd = step->arg[0], .events = POLLIN };
	uint32_t value;

	if (poll(&p, 1, -1) != 1 || !(p.revents & POLLHUP))
		return -1;
	return try_read32((void *)step->arg[1], &value);
}

static void *revoke_slice(void *unused)
{
	(void)unused;
	ck_assert_works(slice_revoke(&dev, slice));
	return NULL;
}

/* After the revocation is reported, nothing reaches the device. */
START_TEST(client_is_notified_when_it_is_over)
{
	struct client *c = client_start(CLIENT_NOBODY);
	long map = client_mmap(c, slice, 0, PAGE, RW);
	struct client_step step = { .fd = -1 };
	pthread_t thread;

	next(events);
	client_read32(c, map);
	step.arg[0] = client_give(c, events);
	step.arg[1] = map;
	ck_assert_int_eq(pthread_create(&thread, NULL, revoke_slice, NULL), 0);
	ck_assert_int_eq(client_call(c, poll_and_try, &step), SIGBUS);
	pthread_join(thread, NULL);
	client_end(c);
}
END_TEST

START_TEST(bad_requests_are_refused)
{
	int closed = dup(events);
	struct device edu;
	char small[8];

	device_open(&edu, "EDU");
	close(closed);
	ck_assert_fails(events_open(&edu, slice, 0), ENODEV);
	ck_assert_fails(events_open(&dev, dev.fd, 0), EINVAL);
	ck_assert_fails(events_open(&dev, closed, 0), EBADF);
	ck_assert_fails(events_open(&dev, slice, O_RDWR), EINVAL);
	ck_assert_fails(read(events, small, sizeof(small)), EINVAL);
	ck_assert_fails(write(events, small, sizeof(small)), EBADF);
	ck_assert_works(device_feature(&dev, VFIO_DEVICE_FEATURE_PROBE |
			VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS));
	ck_assert_fails(device_feature(&dev, VFIO_DEVICE_FEATURE_PROBE |
			VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_EVENTS), EINVAL);
	/* The refused ones leave no reader to notify. */
	next(events);
	check_quiet(events);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("events");
	TCase *tc = add_group(s, "suspension");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, first_read_says_what_is);
	tcase_add_test(tc, disabled_memory_is_reported);
	tcase_add_test(tc, low_power_is_reported);
	tcase_add_loop_test(tc, resets_are_reported, 0, 2);

	tc = add_group(s, "revocation");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, revocation_is_the_end);
	tcase_add_test(tc, revocation_of_another_slice_is_not_reported);
	tcase_add_loop_test(tc, closing_and_unbinding_are_reported, 0, 2);
	tcase_add_test(tc, client_is_notified_when_it_is_over);

	tc = add_group(s, "files");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, every_open_file_is_notified);
	tcase_add_test(tc, reader_is_woken);
	tcase_add_test(tc, bad_requests_are_refused);
	return s;
}
