// SPDX-License-Identifier: MIT
/* Export and revocation with NONBLOCK: what they do, and what they refuse. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffers.h"
#include "client.h"
#include "device.h"
#include "importer.h"
#include "kernel.h"
#include "memory.h"
#include "obstacle/obstacle.h"
#include "page.h"
#include "prompt.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
/* Of that BAR.  It has more pages than a revocation zaps that must not wait. */
#define SIZE	(8 * PMD)
#define RW	(PROT_READ | PROT_WRITE)

static struct device dev;

static void setup(void)
{
	device_open(&dev, "IVSHMEM");
	/* The first use of a BAR may claim it. */
	close(slice_new(&dev, MEM, 0, PAGE));
}

static int try_read(const char *map)
{
	uint32_t value;

	return try_read32(map, &value);
}

/* ---- EXPORT ---- */

struct request {
	struct vfio_device_feature feature;
	struct vfio_dmabuf_feature_export export;
};

#define GOOD(how) (struct request){						\
	.feature.argsz = sizeof(struct request),				\
	.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EXPORT,	\
	.export = {								\
		.region_index = MEM,						\
		.open_flags = O_RDWR | O_CLOEXEC,				\
		.flags = (how),							\
		.range = { PAGE, PAGE },					\
	},									\
}

static int issue(struct request *request)
{
	return ioctl(dev.fd, VFIO_DEVICE_FEATURE, request);
}

/* The lowest number that no fd has.  One that is reserved for an fd counts as taken. */
static int free_fd(void)
{
	int fd = dup(dev.fd);

	ck_assert_works(fd);
	close(fd);
	return fd;
}

START_TEST(export_gives_all_that_belongs_to_a_slice)
{
	struct request request = GOOD(VFIO_DMABUF_NONBLOCK | VFIO_DMABUF_EXPORT_EVENTS);
	struct vfio_dmabuf_buffer buffer;
	struct vfio_dmabuf_event event;
	int whole = slice_new(&dev, MEM, 0, SIZE);
	char *map, *all = slice_map(whole, 0, SIZE);

	request.export.memattr = VFIO_DMABUF_MEMATTR_WC;
	ck_assert_works(issue(&request));
	ck_assert_int_eq(fcntl(request.export.dmabuf_fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(request.export.events_fd, F_GETFD), FD_CLOEXEC);
	ck_assert_works(buffer_info(&dev, request.export.dmabuf_fd, 0, &buffer));
	ck_assert_uint_eq(buffer.id, request.export.id);
	ck_assert_uint_eq(buffer.memattr, VFIO_DMABUF_MEMATTR_WC);
	ck_assert_uint_eq(buffer.offset, PAGE);
	ck_assert_uint_eq(buffer.size, PAGE);
	map = slice_map(request.export.dmabuf_fd, 0, PAGE);
	write32(map, 0x12345678);
	ck_assert_uint_eq(read32(all + PAGE), 0x12345678);
	ck_assert_int_eq(read(request.export.events_fd, &event, sizeof(event)), sizeof(event));
	ck_assert_uint_eq(event.state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_fails(read(request.export.events_fd, &event, sizeof(event)), EAGAIN);
	ck_assert_works(slice_revoke(&dev, request.export.dmabuf_fd));
	ck_assert_int_eq(read(request.export.events_fd, &event, sizeof(event)), sizeof(event));
	ck_assert_uint_eq(event.state, VFIO_DMABUF_STATE_REVOKED);
}
END_TEST

START_TEST(export_without_events_has_none)
{
	struct request request = GOOD(0);

	request.export.open_flags = O_RDONLY;
	ck_assert_works(issue(&request));
	ck_assert_int_eq(request.export.events_fd, -1);
	ck_assert_int_eq(fcntl(request.export.dmabuf_fd, F_GETFD), 0);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, request.export.dmabuf_fd, 0), EACCES);
}
END_TEST

START_TEST(export_that_fails_leaves_nothing)
{
	const int before = free_fd();
	struct vfio_dmabuf_buffer buffers[8];
	size_t slices = buffers_list_all(&dev, 8, buffers, 8);
	struct request request, *page;

#define REFUSED(change, error) do {			\
	request = GOOD(VFIO_DMABUF_EXPORT_EVENTS);	\
	request.export.change;				\
	ck_assert_fails(issue(&request), error);	\
} while (0)
	REFUSED(flags = 1 << 2, EINVAL);
	REFUSED(open_flags = O_RDWR | O_NONBLOCK, EINVAL);
	REFUSED(memattr = 2, EINVAL);
	REFUSED(range.length = 0, EINVAL);
	REFUSED(range.offset = 1, EINVAL);
	REFUSED(range.offset = SIZE, EINVAL);
	REFUSED(region_index = 6, ENODEV);
	REFUSED(region_index = ~0u, ENODEV);
	request = GOOD(VFIO_DMABUF_EXPORT_EVENTS);
	request.feature.argsz -= 8;
	ck_assert_fails(issue(&request), EINVAL);

	/* The answer cannot be written. */
	page = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*page = GOOD(VFIO_DMABUF_EXPORT_EVENTS);
	mprotect(page, PAGE, PROT_READ);
	ck_assert_fails(issue(page), EFAULT);

	ck_assert_int_eq(free_fd(), before);
	ck_assert_uint_eq(buffers_list_all(&dev, 8, buffers, 8), slices);
}
END_TEST

/*
 * Kernels claim each BAR at its first use, or all BARs when the device is opened.  In the
 * first case an export that must not wait leaves that to one that may.
 */
START_TEST(export_of_a_bar_that_was_not_used)
{
	struct request first = GOOD(VFIO_DMABUF_NONBLOCK), second = GOOD(0), third = first;

	first.export.region_index = second.export.region_index = third.export.region_index = 0;
	first.export.range.offset = second.export.range.offset = third.export.range.offset = 0;
	if (kernel_is(7, 0))
		ck_assert_works(issue(&first));
	else
		ck_assert_fails(issue(&first), EAGAIN);
	ck_assert_works(issue(&second));
	ck_assert_works(issue(&third));
}
END_TEST

/* The fd table has room for one of two fds. */
START_TEST(export_needs_room_for_both_fds)
{
	struct request request = GOOD(VFIO_DMABUF_EXPORT_EVENTS);
	int last = dup(dev.fd);
	struct rlimit limit;

	ck_assert_works(getrlimit(RLIMIT_NOFILE, &limit));
	close(last);
	limit.rlim_cur = last + 1;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	ck_assert_fails(issue(&request), EMFILE);
	ck_assert_fails(fcntl(last, F_GETFD), EBADF);
	request = GOOD(0);
	ck_assert_works(issue(&request));
}
END_TEST

/* The setting is for programs that do not know this driver. */
START_TEST(export_is_not_subject_to_core_export)
{
	struct request request = GOOD(0);
	int ret;

	ck_assert_works(sysfs_write(dev.bdf, "vfio_dmabuf/core_export", "1"));
	ret = issue(&request);
	ck_assert_works(sysfs_write(dev.bdf, "vfio_dmabuf/core_export", "0"));
	ck_assert_works(ret);
	slice_map(request.export.dmabuf_fd, 0, PAGE);
}
END_TEST

/* ---- REVOKE ---- */

START_TEST(revoked_at_once)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&dev, MEM, 0, PAGE), other = slice_new(&dev, MEM, 0, PAGE);
	long map = client_mmap(c, fd, 0, PAGE, RW);
	char *own = slice_map(fd, 0, PAGE), *others = slice_map(other, 0, PAGE);
	uint32_t value;

	client_read32(c, map);
	read32(own);
	read32(others);
	ck_assert_works(slice_revoke_now(&dev, fd));
	ck_assert_int_eq(client_try_read32(c, map, &value), SIGBUS);
	ck_assert_int_eq(try_read(own), SIGBUS);
	ck_assert_int_eq(try_read(others), 0);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), ENODEV);
	ck_assert_fails(slice_revoke_now(&dev, fd), EBADFD);
	ck_assert_fails(slice_revoke(&dev, fd), EBADFD);
	client_end(c);
}
END_TEST

/* If the call fails with EAGAIN, the call that waits succeeds, in whichever state the first left the buffer. */
static void refused_now(int fd, const char *map)
{
	double begin = now();

	ck_assert_fails(slice_revoke_now(&dev, fd), EAGAIN);
	ck_assert_msg(now() - begin < bound(), "EAGAIN took %.2f s", now() - begin);
	if (!map)
		return;
	ck_assert_works(slice_revoke(&dev, fd));
	ck_assert_int_eq(try_read(map), SIGBUS);
}

START_TEST(mapped_in_many_places_is_refused)
{
	int fd = slice_new(&dev, MEM, 0, PAGE);
	char *map;

	for (int i = 0; i < 8; i++)
		map = slice_map(fd, 0, PAGE);
	close(slice_new(&dev, MEM, 0, PAGE));
	map = slice_map(fd, 0, PAGE);
	read32(map);
	refused_now(fd, map);
}
END_TEST

START_TEST(mapped_in_some_places_is_not_refused)
{
	int fd = slice_new(&dev, MEM, 0, PAGE);
	char *maps[8];

	for (int i = 0; i < 8; i++) {
		maps[i] = slice_map(fd, 0, PAGE);
		read32(maps[i]);
	}
	ck_assert_works(slice_revoke_now(&dev, fd));
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(try_read(maps[i]), SIGBUS);
}
END_TEST

START_TEST(many_pages_are_refused)
{
	int fd = slice_new(&dev, MEM, 0, SIZE);
	char *map = slice_map(fd, 0, SIZE);

	slice_map(fd, 0, PAGE);
	read32(map);
	refused_now(fd, map);
}
END_TEST

START_TEST(many_others_at_the_same_place_are_refused)
{
	int fd = slice_new(&dev, MEM, 0, PAGE), other = slice_new(&dev, MEM, 0, PAGE);
	char *map = slice_map(fd, 0, PAGE);

	for (int i = 0; i < 65; i++)
		slice_map(other, 0, PAGE);
	read32(map);
	refused_now(fd, map);
}
END_TEST

/* ---- a client in the way ---- */

/* A process that holds the lock until it is killed. */
static pid_t hold_mapping(int obstacle, int file)
{
	struct obstacle_hold request = { file, eventfd(0, EFD_CLOEXEC) };
	eventfd_t one;
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ioctl(obstacle, OBSTACLE_HOLD, &request);
		_exit(1);
	}
	ck_assert_works(eventfd_read(request.event_fd, &one));
	return pid;
}

static int obstacle_open(void)
{
	int fd = open(OBSTACLE_PATH, O_RDWR | O_CLOEXEC);

	ck_assert_works(fd);
	return fd;
}

START_TEST(client_in_the_middle_of_mmap_is_not_waited_for)
{
	int fd = slice_new(&dev, MEM, 0, PAGE);
	char *map = slice_map(fd, 0, PAGE);
	pid_t pid;

	read32(map);
	pid = hold_mapping(obstacle_open(), fd);
	refused_now(fd, NULL);
	/* Nothing was changed. */
	ck_assert_int_eq(try_read(map), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_works(slice_revoke_now(&dev, fd));
	ck_assert_int_eq(try_read(map), SIGBUS);
}
END_TEST

/* The process that serves the pages may not answer. */
START_TEST(mmu_notifier_is_not_called)
{
	int fd = slice_new(&dev, MEM, 0, PAGE), obstacle = obstacle_open(), before;
	char *map = slice_map(fd, 0, PAGE);

	read32(map);
	ck_assert_works(ioctl(obstacle, OBSTACLE_NOTIFY));
	before = ioctl(obstacle, OBSTACLE_CALLS);
	refused_now(fd, NULL);
	ck_assert_int_eq(ioctl(obstacle, OBSTACLE_CALLS), before);
	ck_assert_works(slice_revoke(&dev, fd));
	ck_assert_int_gt(ioctl(obstacle, OBSTACLE_CALLS), before);
	ck_assert_int_eq(try_read(map), SIGBUS);
}
END_TEST

/* Both with and without something mapped. */
START_TEST(importer_is_not_waited_for)
{
	int fd = slice_new(&dev, MEM, 0, PAGE), importer = importer_attach(fd, &dev);
	struct importer_status status;

	if (_i)
		ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	refused_now(fd, slice_map(fd, 0, PAGE));
	status = importer_status(importer);
	ck_assert(!status.mapped);
}
END_TEST

static const char *notifiers_missing(void)
{
	int obstacle = open(OBSTACLE_PATH, O_RDWR | O_CLOEXEC);
	bool missing = obstacle >= 0 && ioctl(obstacle, OBSTACLE_NOTIFY) && errno == EOPNOTSUPP;

	close(obstacle);
	return missing ? "this kernel has no MMU notifiers" : NULL;
}

Suite *suite(void)
{
	Suite *s = suite_create("nonblock");
	TCase *tc = add_group(s, "export");

	module_load("dmabuf-test-obstacle");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, export_gives_all_that_belongs_to_a_slice);
	tcase_add_test(tc, export_without_events_has_none);
	tcase_add_test(tc, export_that_fails_leaves_nothing);
	tcase_add_test(tc, export_of_a_bar_that_was_not_used);
	tcase_add_test(tc, export_needs_room_for_both_fds);
	add_test_or_skip(tc, export_is_not_subject_to_core_export,
			 kernel_is(7, 0) ? NULL : "this kernel's vfio-pci-core exports no DMABUFs");

	tc = add_group(s, "revoke");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, revoked_at_once);
	tcase_add_test(tc, mapped_in_some_places_is_not_refused);
	tcase_add_test(tc, mapped_in_many_places_is_refused);
	tcase_add_test(tc, many_pages_are_refused);
	tcase_add_test(tc, many_others_at_the_same_place_are_refused);
	tcase_add_test(tc, client_in_the_middle_of_mmap_is_not_waited_for);
	add_test_or_skip(tc, mmu_notifier_is_not_called, notifiers_missing());

	tc = add_group(s, "importers");
	if (importers_missing()) {
		add_test_or_skip(tc, importer_is_not_waited_for, importers_missing());
	} else {
		tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
		tcase_add_checked_fixture(tc, setup, NULL);
		tcase_add_loop_test(tc, importer_is_not_waited_for, 0, 2);
	}
	return s;
}
