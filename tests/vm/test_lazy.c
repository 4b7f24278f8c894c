// SPDX-License-Identifier: MIT
/*
 * An importer that does not let go: the call that takes its slice away waits, as the
 * importer's device still reaches ours, but no other call does.  A signal ends the wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffers.h"
#include "device.h"
#include "importer.h"
#include "memory.h"
#include "page.h"
#include "prompt.h"
#include "slice.h"
#include "suite.h"

#define RW	(PROT_READ | PROT_WRITE)
#define NVME_CC	0x14		/* a register that a reset clears */
#define DIRTY	0x00460000

static struct device dev;
static int slice, other, importer, good;
static char *map;		/* of the slice */

static struct vfio_dmabuf_event next(int events)
{
	struct vfio_dmabuf_event event;

	ck_assert_int_eq(read(events, &event, sizeof(event)), sizeof(event));
	return event;
}

static void setup(void)
{
	device_open(&dev, "NVME");
	slice = slice_new(&dev, 0, 0, PAGE);
	other = slice_new(&dev, 0, 0, PAGE);
	map = slice_map(slice, 0, PAGE);
	write32(map + NVME_CC, DIRTY);
	importer = importer_open();
	ck_assert_works(importer_try_attach(importer, slice, &dev, IMPORTER_LAZY));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	/* Of another slice; it unmaps when it is notified. */
	good = importer_attach(other, &dev);
}

/* What takes the slice away; 0, or -1 with errno. */
static int revoke_slice(void)
{
	return slice_revoke(&dev, slice);
}

static int disable_memory(void)
{
	uint16_t command = config_read(&dev, PCI_COMMAND, 2) & ~PCI_COMMAND_MEMORY;

	return device_poke(&dev, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2);
}

static int reset(void)
{
	return device_reset(&dev);
}

static int low_power(void)
{
	return device_feature(&dev, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
}

static void ignore(int number)
{
	(void)number;
}

/* Starts it in another process, and returns when that waits for the importer. */
static pid_t start(int (*evict)(void))
{
	unsigned int notified = importer_status(importer).notified;
	double begin = now();
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid) {
		struct sigaction action = { .sa_handler = ignore };

		sigaction(SIGUSR1, &action, NULL);
		/* The errno, 0 for success: all of them fit. */
		_exit(evict() ? errno : 0);
	}
	while (importer_status(importer).notified == notified) {
		ck_assert_msg(now() - begin < 3 * bound(), "the importer is not notified");
		sched_yield();
	}
	return pid;
}

/* Its result: 0 or an errno. */
static int ended(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "status %#x", status);
	return WEXITSTATUS(status);
}

/*
 * Runs a function in another process.  If that does not end, the importer unmaps, so
 * that the test can end.
 */
static void check_prompt(int (*call)(void), const char *what)
{
	const struct timespec limit = { .tv_sec = 2 * (time_t)bound() };
	int handle, status;
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid)
		_exit(call() < 0 ? errno : 0);
	handle = syscall(SYS_pidfd_open, pid, 0);
	ck_assert_works(handle);
	if (ppoll(&(struct pollfd){ handle, POLLIN, 0 }, 1, &limit, NULL) != 1) {
		importer_unmap(importer);
		waitpid(pid, NULL, 0);
		ck_abort_msg("%s is held up", what);
	}
	close(handle);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!status, "%s: status %#x", what, status);
}

static int export_one(void)
{
	struct vfio_region_dma_range range = { 0, PAGE };

	return slice_export(&dev, 0, O_RDWR | O_CLOEXEC, &range, 1) < 0 ? -1 : 0;
}

static int revoke_another(void)
{
	return slice_revoke(&dev, slice_new(&dev, 0, 0, PAGE));
}

static int list(void)
{
	struct vfio_dmabuf_buffer buffers[8];

	return buffers_list(&dev, 0, buffers, 8);
}

static int map_another(void)
{
	char *at = mmap(NULL, PAGE, RW, MAP_SHARED, other, 0);

	if (at == MAP_FAILED)
		return -1;
	read32(at);
	return munmap(at, PAGE);
}

static int map_device(void)
{
	char *at = device_map(&dev, 0, 0, PAGE);

	read32(at);
	return munmap(at, PAGE);
}

START_TEST(others_go_on_while_a_slice_is_revoked)
{
	pid_t pid = start(revoke_slice);

	check_prompt(map_another, "mmap() of another slice");
	check_prompt(map_device, "mmap() of the device");
	check_prompt(export_one, "export");
	check_prompt(revoke_another, "revocation of another slice");
	check_prompt(list, "the list of buffers");
	/* It has no mapping in any process, though its importer is still there. */
	ck_assert_int_eq(try_read32(map, &(uint32_t){ 0 }), SIGBUS);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	ck_assert_works(importer_unmap(importer));
	ck_assert_int_eq(ended(pid), 0);
}
END_TEST

START_TEST(others_go_on_while_the_device_is_suspended)
{
	pid_t pid = start(disable_memory);

	check_prompt(map_another, "mmap() and access through another slice");
	check_prompt(export_one, "export");
	check_prompt(revoke_another, "revocation of another slice");
	check_prompt(list, "the list of buffers");
	ck_assert_works(importer_unmap(importer));
	ck_assert_int_eq(ended(pid), 0);
}
END_TEST

/* Sends a signal to a process that waits for the importer. Returns its result. */
static int interrupted(int (*evict)(void))
{
	const struct timespec limit = { .tv_sec = 2 * (time_t)bound() };
	pid_t pid = start(evict);
	int handle = syscall(SYS_pidfd_open, pid, 0);

	ck_assert_works(handle);
	ck_assert_works(kill(pid, SIGUSR1));
	if (ppoll(&(struct pollfd){ handle, POLLIN, 0 }, 1, &limit, NULL) != 1) {
		importer_unmap(importer);
		ended(pid);
		ck_abort_msg("the signal does not end the wait");
	}
	close(handle);
	return ended(pid);
}

/* Nothing has happened, and nothing is about to. */
START_TEST(suspension_ends_with_a_signal_and_is_undone)
{
	static int (*const evictions[])(void) = { disable_memory, reset, low_power };
	int events = buffer_events(&dev, slice, 0, O_CLOEXEC | O_NONBLOCK);

	next(events);
	ck_assert_int_eq(interrupted(evictions[_i]), EINTR);
	ck_assert_fails(read(events, &(struct vfio_dmabuf_event){ 0 },
			     sizeof(struct vfio_dmabuf_event)), EAGAIN);
	ck_assert_uint_ne(config_read(&dev, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY, 0);
	ck_assert_uint_eq(read32(map + NVME_CC), DIRTY);
	ck_assert_works(importer_map(good, IMPORTER_BOTH));
	ck_assert_works(importer_unmap(importer));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	ck_assert_works(importer_unmap(importer));

	/* It works without a signal, and when the importer is through. */
	ck_assert_works(evictions[_i]());
	ck_assert_uint_eq(importer_status(good).mapped, 0);
	ck_assert_uint_gt(next(events).changes, 0);
}
END_TEST

Suite *suite(void)
{
	const char *missing = importers_missing();
	Suite *s = suite_create("lazy");
	TCase *tc = add_group(s, "importer");

	if (missing) {
		add_test_or_skip(tc, others_go_on_while_a_slice_is_revoked, missing);
		return s;
	}
	tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, others_go_on_while_a_slice_is_revoked);
	tcase_add_test(tc, others_go_on_while_the_device_is_suspended);
	tcase_add_loop_test(tc, suspension_ends_with_a_signal_and_is_undone, 0, 3);
	return s;
}
