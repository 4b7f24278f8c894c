// SPDX-License-Identifier: MIT
/* What the owner learns of a buffer and does to it by its id, without an fd of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
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

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define UNUSED	(1ULL << 62)	/* an id that nothing will ever have */

typedef struct vfio_region_dma_range range_t;

static struct device mem, edu;

static void setup(void)
{
	device_open(&mem, "IVSHMEM");
	device_open(&edu, "EDU");
}

static void setup_nvme(void)
{
	device_open(&mem, "NVME");
}

static int closed_fd(void)
{
	int fd = dup(mem.fd);

	close(fd);
	return fd;
}

static int try_read(const void *address)
{
	uint32_t value;

	return try_read32(address, &value);
}

/* ---- INFO ---- */

#define RANGES	40

/* Each range at an even page, but that the one after the tenth continues it. */
static int export_ranges(range_t *ranges)
{
	range_t input[RANGES + 1];
	int i, nr = 0;

	for (i = 0; i < RANGES; i++) {
		ranges[i] = (range_t){ 2 * (RANGES - i) * PAGE, PAGE };
		input[nr++] = ranges[i];
		if (i == 10) {
			input[nr++] = (range_t){ ranges[i].offset + PAGE, PAGE };
			ranges[i].length += PAGE;
		}
	}
	return slice_export(&mem, MEM, O_RDWR, input, nr);
}

START_TEST(ranges_come_in_pieces)
{
	static const uint32_t pieces[] = { 1, 7, RANGES, 1000 };
	range_t expected[RANGES], ranges[1000];
	struct vfio_dmabuf_buffer buffer;
	int fd = export_ranges(expected), nr;
	uint64_t id, first = 0;

	ck_assert_works(fd);
	id = buffer_id(&mem, fd);
	ck_assert_works(buffer_info(&mem, -1, id, &buffer));
	ck_assert_uint_eq(buffer.nr_ranges, RANGES);
	ck_assert_uint_eq(buffer.size, (RANGES + 1) * PAGE);
	while ((nr = buffer_ranges(&mem, id, first, ranges, pieces[_i])) > 0) {
		ck_assert_uint_eq(nr, pieces[_i] < RANGES - first ? pieces[_i] : RANGES - first);
		ck_assert_mem_eq(ranges, &expected[first], nr * sizeof(*ranges));
		first += nr;
	}
	ck_assert_int_eq(nr, 0);
	ck_assert_uint_eq(first, RANGES);
	ck_assert_int_eq(buffer_ranges(&mem, id, UINT64_MAX, ranges, 1), 0);
	ck_assert_int_eq(buffer_ranges(&mem, id, 1ULL << 32, ranges, 1), 0);
}
END_TEST

START_TEST(fd_and_id_say_the_same)
{
	int fd = slice_new(&mem, MEM, 3 * PAGE, 2 * PAGE);
	struct vfio_dmabuf_buffer by_fd, by_id;

	ck_assert_works(buffer_info(&mem, fd, 0, &by_fd));
	ck_assert_works(buffer_info(&mem, -1, by_fd.id, &by_id));
	ck_assert_mem_eq(&by_fd, &by_id, sizeof(by_fd));
	close(fd);
	ck_assert_fails(buffer_info(&mem, -1, by_fd.id, &by_id), ENOENT);
}
END_TEST

START_TEST(ranges_need_room)
{
	range_t expected[RANGES];
	char *room = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range_t *two = (range_t *)(room + PAGE) - 2;
	uint64_t id = buffer_id(&mem, export_ranges(expected));

	ck_assert_works(mprotect(room + PAGE, PAGE, PROT_NONE));
	ck_assert_fails(buffer_ranges(&mem, id, 0, NULL, 1), EFAULT);
	ck_assert_fails(buffer_ranges(&mem, id, 0, two, 3), EFAULT);
	ck_assert_int_eq(buffer_ranges(&mem, id, 4, two, 2), 2);
	ck_assert_mem_eq(two, &expected[4], 2 * sizeof(*two));
	/* Room for none needs no address. */
	ck_assert_int_eq(buffer_ranges(&mem, id, 0, NULL, 0), 0);
}
END_TEST

/* ---- how a buffer is named, by each feature that takes one ---- */

static int info(const struct device *dev, int fd, uint64_t id)
{
	struct vfio_dmabuf_buffer buffer;

	return buffer_info(dev, fd, id, &buffer);
}

static int events(const struct device *dev, int fd, uint64_t id)
{
	return buffer_events(dev, fd, id, O_CLOEXEC | O_NONBLOCK);
}

static int (*const features[])(const struct device *dev, int fd, uint64_t id) = {
	info, events, buffer_revoke,
};

START_TEST(wrong_names_are_refused)
{
	int fd = slice_new(&mem, MEM, 0, PAGE), of_edu = slice_new(&edu, 0, 0, PAGE);
	uint64_t id = buffer_id(&mem, fd), id_of_edu = buffer_id(&edu, of_edu);
	void *map = slice_map(of_edu, 0, PAGE);
	int (*feature)(const struct device *, int, uint64_t) = features[_i];

	ck_assert_fails(feature(&mem, closed_fd(), 0), EBADF);
	ck_assert_fails(feature(&mem, mem.fd, 0), EINVAL);
	ck_assert_fails(feature(&mem, memfd_create("memfd", 0), 0), EINVAL);
	ck_assert_fails(feature(&mem, fd, id), EINVAL);
	ck_assert_fails(feature(&mem, fd, UNUSED), EINVAL);
	ck_assert_fails(feature(&mem, -2, 0), EINVAL);
	ck_assert_fails(feature(&mem, -2, id), EINVAL);
	ck_assert_fails(feature(&mem, INT32_MIN, id), EINVAL);
	ck_assert_fails(feature(&mem, of_edu, 0), ENODEV);
	ck_assert_fails(feature(&mem, -1, id_of_edu), ENOENT);
	ck_assert_fails(feature(&mem, -1, UNUSED), ENOENT);
	ck_assert_fails(feature(&mem, -1, id + 1000000), ENOENT);
	/* For EVENTS alone this has a meaning. */
	if (feature != events)
		ck_assert_fails(feature(&mem, -1, 0), ENOENT);
	/* The refused calls have changed nothing. */
	ck_assert_int_eq(try_read(map), 0);
	ck_assert_works(feature(&mem, -1, id));
	ck_assert_works(feature(&edu, of_edu, 0));
}
END_TEST

/* ---- REVOKE ---- */

START_TEST(revoked_by_its_id)
{
	int fd = slice_new(&mem, MEM, 0, PAGE), other = slice_new(&mem, MEM, 0, PAGE);
	void *map = slice_map(fd, 0, PAGE), *kept = slice_map(other, 0, PAGE);
	uint64_t id = buffer_id(&mem, fd);

	read32(map);
	ck_assert_works(buffer_revoke(&mem, -1, id));
	ck_assert_int_eq(try_read(map), SIGBUS);
	ck_assert_int_eq(try_read(kept), 0);
	ck_assert_fails(buffer_revoke(&mem, -1, id), EBADFD);
	ck_assert_fails(buffer_revoke(&mem, fd, 0), EBADFD);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), ENODEV);
}
END_TEST

START_TEST(reserved_must_be_zero)
{
	int fd = slice_new(&mem, MEM, 0, PAGE);
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_revoke revoke;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
		.revoke = { .dmabuf_fd = fd, .flags = 2 },
	};

	ck_assert_fails(ioctl(mem.fd, VFIO_DEVICE_FEATURE, &request), EINVAL);
	/* What an older struct had room for is not enough. */
	request.revoke.flags = 0;
	request.feature.argsz = sizeof(request.feature) + sizeof(__s32);
	ck_assert_fails(ioctl(mem.fd, VFIO_DEVICE_FEATURE, &request), EINVAL);
	ck_assert_int_eq(try_read(slice_map(fd, 0, PAGE)), 0);
}
END_TEST

/* No fd is left of it anywhere, only a mapping of a client's. */
START_TEST(revoked_when_only_a_client_maps_it)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&mem, MEM, 0, PAGE);
	uint64_t id = buffer_id(&mem, fd);
	long map = client_mmap(c, fd, 0, PAGE, RW);
	struct vfio_dmabuf_buffer buffer;
	uint32_t value;

	client_read32(c, map);
	close(fd);
	ck_assert_works(buffer_info(&mem, -1, id, &buffer));
	ck_assert_uint_eq(buffer.mappings, 1);
	ck_assert_works(buffer_revoke(&mem, -1, id));
	ck_assert_int_eq(client_try_read32(c, map, &value), SIGBUS);
	ck_assert_fails(buffer_revoke(&mem, -1, id), EBADFD);
	ck_assert_works(client_munmap(c, map, PAGE));
	ck_assert_fails(buffer_revoke(&mem, -1, id), ENOENT);
	client_end(c);
}
END_TEST

/* A client keeps the fd, but has neither mapped it nor does it any more. */
START_TEST(revoked_when_only_a_client_has_the_fd)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&mem, MEM, 0, PAGE);
	uint64_t id = buffer_id(&mem, fd);

	client_give(c, fd);
	close(fd);
	ck_assert_works(buffer_revoke(&mem, -1, id));
	ck_assert_fails(buffer_revoke(&mem, -1, id), EBADFD);
	client_end(c);
	ck_assert_fails(buffer_revoke(&mem, -1, id), ENOENT);
}
END_TEST

START_TEST(own_mapping_of_the_bar_is_revoked_alone)
{
	struct vfio_dmabuf_buffer buffer;
	void *first = device_map(&mem, MEM, 0, PAGE), *second = device_map(&mem, MEM, 0, PAGE);

	read32(first);
	read32(second);
	ck_assert_int_eq(buffers_list(&mem, 0, &buffer, 1), 1);
	ck_assert_works(buffer_revoke(&mem, -1, buffer.id));
	ck_assert_int_eq(try_read(first), SIGBUS);
	ck_assert_int_eq(try_read(second), 0);
}
END_TEST

/* ---- EVENTS ---- */

static int polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ck_assert_works(poll(&p, 1, 0));
	return p.revents;
}

static void check_next(int fd, uint32_t state)
{
	struct vfio_dmabuf_event event;

	ck_assert_int_ne(polled(fd) & POLLIN, 0);
	ck_assert_int_eq(read(fd, &event, sizeof(event)), sizeof(event));
	ck_assert_uint_eq(event.state, state);
	ck_assert_uint_eq(event.reserved, 0);
}

static void check_quiet(int fd)
{
	struct vfio_dmabuf_event event;

	ck_assert_int_eq(polled(fd), 0);
	ck_assert_fails(read(fd, &event, sizeof(event)), EAGAIN);
}

static void check_over(int fd)
{
	struct vfio_dmabuf_event event;

	ck_assert_int_ne(polled(fd) & POLLHUP, 0);
	check_next(fd, VFIO_DMABUF_STATE_REVOKED);
	ck_assert_int_eq(read(fd, &event, sizeof(event)), 0);
	ck_assert_int_eq(polled(fd), POLLIN | POLLHUP);
}

START_TEST(events_by_id)
{
	int fd = slice_new(&mem, 0, 0, PAGE), other = slice_new(&mem, 0, 0, PAGE);
	uint64_t id = buffer_id(&mem, fd);
	int by_id = events(&mem, -1, id);

	ck_assert_works(by_id);
	check_next(by_id, VFIO_DMABUF_STATE_LIVE);
	check_quiet(by_id);
	device_set_memory(&mem, false);
	check_next(by_id, VFIO_DMABUF_STATE_SUSPENDED);
	device_set_memory(&mem, true);
	check_next(by_id, VFIO_DMABUF_STATE_LIVE);
	ck_assert_works(slice_revoke(&mem, other));
	check_quiet(by_id);
	ck_assert_works(buffer_revoke(&mem, -1, id));
	check_over(by_id);
}
END_TEST

START_TEST(events_outlive_the_buffer)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&mem, 0, 0, PAGE), by_fd = events(&mem, fd, 0);
	struct vfio_dmabuf_event event;
	uint64_t id = buffer_id(&mem, fd);
	int by_id = events(&mem, -1, id);
	long map = client_mmap(c, fd, 0, PAGE, RW);

	ck_assert_works(by_fd);
	ck_assert_works(by_id);
	check_next(by_fd, VFIO_DMABUF_STATE_LIVE);
	check_next(by_id, VFIO_DMABUF_STATE_LIVE);
	close(fd);
	check_quiet(by_fd);
	/* They do not keep the buffer. */
	ck_assert_works(client_munmap(c, map, PAGE));
	ck_assert_fails(info(&mem, -1, id), ENOENT);
	check_over(by_fd);
	check_over(by_id);
	/* Nor does a device that is closed, and opened again, bring it back. */
	device_close(&mem);
	device_open(&mem, "NVME");
	ck_assert_int_eq(read(by_fd, &event, sizeof(event)), 0);
	client_end(c);
}
END_TEST

START_TEST(device_is_suspended_and_resumed)
{
	uint32_t set = VFIO_DEVICE_FEATURE_SET;
	int device = events(&mem, -1, 0), fd = slice_new(&mem, 0, 0, PAGE);

	ck_assert_works(device);
	check_next(device, VFIO_DMABUF_STATE_LIVE);
	check_quiet(device);
	device_set_memory(&mem, false);
	check_next(device, VFIO_DMABUF_STATE_SUSPENDED);
	check_quiet(device);
	/* An event fd that is opened now reports it immediately. */
	check_next(events(&mem, -1, 0), VFIO_DMABUF_STATE_SUSPENDED);
	device_set_memory(&mem, true);
	check_next(device, VFIO_DMABUF_STATE_LIVE);
	ck_assert_works(device_feature(&mem, set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	check_next(device, VFIO_DMABUF_STATE_SUSPENDED);
	ck_assert_works(device_feature(&mem, set | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	check_next(device, VFIO_DMABUF_STATE_LIVE);
	/* What becomes of a slice is not the device's. */
	ck_assert_works(slice_revoke(&mem, fd));
	check_quiet(device);
}
END_TEST

START_TEST(reset_of_the_device_is_counted)
{
	int device = events(&mem, -1, 0);
	struct vfio_dmabuf_event before, after;

	ck_assert_int_eq(read(device, &before, sizeof(before)), sizeof(before));
	if (_i)
		ck_assert_works(sysfs_write(mem.bdf, "reset", "1"));
	else
		ck_assert_works(device_reset(&mem));
	ck_assert_int_eq(read(device, &after, sizeof(after)), sizeof(after));
	ck_assert_uint_eq(after.state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_eq(after.changes, before.changes + 2);
	check_quiet(device);
}
END_TEST

START_TEST(close_of_the_device_is_the_end)
{
	int device = events(&mem, -1, 0);
	struct vfio_dmabuf_event event;
	void *map;

	ck_assert_works(device);
	check_next(device, VFIO_DMABUF_STATE_LIVE);
	/* A mapping keeps the device open. */
	map = device_map(&mem, 0, 0, PAGE);
	device_close(&mem);
	check_quiet(device);
	munmap(map, PAGE);
	ck_assert_int_ne(polled(device) & POLLHUP, 0);
	check_next(device, VFIO_DMABUF_STATE_REVOKED);
	/* Event files of the former open stay revoked. New ones begin with live. */
	device_open(&mem, "NVME");
	ck_assert_int_eq(read(device, &event, sizeof(event)), 0);
	check_next(events(&mem, -1, 0), VFIO_DMABUF_STATE_LIVE);
	ck_assert_int_eq(polled(device), POLLIN | POLLHUP);
}
END_TEST

START_TEST(bad_flags_are_refused)
{
	uint64_t id = buffer_id(&mem, slice_new(&mem, 0, 0, PAGE));

	ck_assert_fails(buffer_events(&mem, -1, id, O_RDWR), EINVAL);
	ck_assert_fails(buffer_events(&mem, -1, 0, O_RDWR), EINVAL);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("ids");
	TCase *tc = add_group(s, "info");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, ranges_come_in_pieces, 0, 4);
	tcase_add_test(tc, fd_and_id_say_the_same);
	tcase_add_test(tc, ranges_need_room);

	tc = add_group(s, "names");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, wrong_names_are_refused, 0, 3);

	tc = add_group(s, "revoke");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, revoked_by_its_id);
	tcase_add_test(tc, reserved_must_be_zero);
	tcase_add_test(tc, revoked_when_only_a_client_maps_it);
	tcase_add_test(tc, revoked_when_only_a_client_has_the_fd);
	tcase_add_test(tc, own_mapping_of_the_bar_is_revoked_alone);

	tc = add_group(s, "events");
	tcase_add_checked_fixture(tc, setup_nvme, NULL);
	tcase_add_test(tc, events_by_id);
	tcase_add_test(tc, events_outlive_the_buffer);
	tcase_add_test(tc, device_is_suspended_and_resumed);
	tcase_add_loop_test(tc, reset_of_the_device_is_counted, 0, 2);
	tcase_add_test(tc, close_of_the_device_is_the_end);
	tcase_add_test(tc, bad_flags_are_refused);
	return s;
}
