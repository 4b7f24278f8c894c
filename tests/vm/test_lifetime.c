// SPDX-License-Identifier: MIT
/*
 * The end of a device: closing its last fd, unbinding, removing it and unloading the
 * driver revoke every slice, and a slice prevents none of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "edu.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)
#define MEM	2	/* ivshmem's BAR that is plain memory */
#define MODULE	"dmabuf_vfio_pci"

static struct device edu;
static struct client *client;
static int slice;	/* of the edu's first page */
static long map;	/* of it, in the client */

static void setup(void)
{
	client = client_start(CLIENT_NOBODY);
	device_open(&edu, "EDU");
	slice = slice_new(&edu, 0, 0, PAGE);
	map = client_mmap(client, slice, 0, PAGE, RW);
	client_read32(client, map);
}

static void teardown(void)
{
	client_end(client);
	close(slice);
	device_close(&edu);
	driver_rebind(lab_bdf("EDU"));
}

static int client_try_read(void)
{
	uint32_t value;

	return client_try_read32(client, map, &value);
}

static void check_revoked(void)
{
	ck_assert_int_eq(client_try_read(), SIGBUS);
	ck_assert_fails(client_mmap(client, slice, 0, PAGE, RW), ENODEV);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, slice, 0), ENODEV);
}

START_TEST(closing_the_device_revokes)
{
	device_close(&edu);
	check_revoked();
}
END_TEST

START_TEST(one_of_two_device_fds_may_close)
{
	int second = device_get_fd(&edu, "");

	ck_assert_works(second);
	ck_assert_works(close(edu.fd));
	ck_assert_uint_eq(client_read32(client, map), EDU_ID_VALUE);

	edu.fd = second;
	device_close(&edu);
	check_revoked();
}
END_TEST

START_TEST(mapping_of_the_device_fd_counts_as_one)
{
	void *own = device_map(&edu, 0, 0, PAGE);

	device_close(&edu);
	ck_assert_uint_eq(client_read32(client, map), EDU_ID_VALUE);
	ck_assert_works(munmap(own, PAGE));
	check_revoked();
}
END_TEST

START_TEST(slice_does_not_keep_the_device_open)
{
	char number[16], path[64];
	int group;

	device_close(&edu);
	ck_assert(function_link(lab_bdf("EDU"), "iommu_group", number, sizeof(number)));
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	group = open(path, O_RDWR);
	ck_assert_works(group);
	close(group);
}
END_TEST

START_TEST(reopening_revives_no_slice)
{
	int fresh;

	device_close(&edu);
	device_open(&edu, "EDU");
	check_revoked();
	ck_assert_fails(slice_revoke(&edu, slice), EBADFD);

	fresh = slice_new(&edu, 0, 0, PAGE);
	ck_assert_uint_eq(read32(slice_map(fresh, 0, PAGE)), EDU_ID_VALUE);
	check_revoked();
}
END_TEST

START_TEST(death_of_the_owner_revokes)
{
	/* The group cannot be opened twice: the owner is a child, not we. */
	int pair[2], fd;
	pid_t pid;

	device_close(&edu);
	ck_assert_works(pipe(pair));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		device_open(&edu, "EDU");
		fd = slice_new(&edu, 0, 0, PAGE);
		map = client_mmap(client, fd, 0, PAGE, RW);
		client_read32(client, map);
		if (write(pair[1], &map, sizeof(map)) != sizeof(map))
			_exit(1);
		pause();
		_exit(1);
	}
	close(pair[1]);
	ck_assert_int_eq(read(pair[0], &map, sizeof(map)), sizeof(map));
	ck_assert_uint_eq(client_read32(client, map), EDU_ID_VALUE);

	ck_assert_works(kill(pid, SIGKILL));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(client_try_read(), SIGBUS);
}
END_TEST

START_TEST(unbinding_with_a_revoked_slice_left)
{
	const char *bdf = edu.bdf;

	device_close(&edu);
	ck_assert_works(driver_unbind(bdf));
	ck_assert(!driver_bound(bdf));
	check_revoked();

	driver_rebind(bdf);
	check_revoked();
	device_open(&edu, "EDU");
	ck_assert_uint_eq(read32(device_map(&edu, 0, 0, PAGE)), EDU_ID_VALUE);
	ck_assert_fails(slice_revoke(&edu, slice), ENODEV);
}
END_TEST

/* Unbinding notifies the owner through this eventfd, and waits for it. */
static int new_request_eventfd(void)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = {
		.set = {
			.argsz = sizeof(irq),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD |
				 VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
		.fd = eventfd(0, EFD_CLOEXEC),
	};

	ck_assert_works(ioctl(edu.fd, VFIO_DEVICE_SET_IRQS, &irq));
	return irq.fd;
}

static pid_t start_writing(const char *bdf, const char *file, const char *text)
{
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid) {
		/* Its copies would keep the device open, and itself waiting. */
		close_range(3, ~0U, 0);
		_exit(sysfs_write(bdf, file, text) ? 1 : 0);
	}
	return pid;
}

static void leave_when_asked(const char *file, const char *text)
{
	int requested = new_request_eventfd(), status;
	const char *bdf = edu.bdf;
	pid_t pid = start_writing(bdf, file, text);
	eventfd_t count;

	ck_assert_works(eventfd_read(requested, &count));
	/* Nothing is revoked before the owner closes the device. */
	ck_assert_uint_eq(client_read32(client, map), EDU_ID_VALUE);
	device_close(&edu);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check_revoked();
}

START_TEST(unbinding_an_open_device_asks_then_revokes)
{
	leave_when_asked("driver/unbind", edu.bdf);
	ck_assert(!driver_bound(lab_bdf("EDU")));
}
END_TEST

START_TEST(removing_an_open_device_asks_then_revokes)
{
	const char *bdf = lab_bdf("EDU");

	leave_when_asked("remove", "1");
	ck_assert_works(file_write("/sys/bus/pci/rescan", "1"));
	driver_rebind(bdf);
	check_revoked();
	device_open(&edu, "EDU");
	ck_assert_uint_eq(read32(device_map(&edu, 0, 0, PAGE)), EDU_ID_VALUE);
}
END_TEST

START_TEST(removing_a_closed_device_with_a_slice_left)
{
	const char *bdf = edu.bdf;

	device_close(&edu);
	ck_assert_works(sysfs_write(bdf, "remove", "1"));
	check_revoked();
	ck_assert_int_eq(client_munmap(client, map, PAGE), 0);
	close(slice);
	ck_assert_works(file_write("/sys/bus/pci/rescan", "1"));
	driver_rebind(bdf);
}
END_TEST

/*
 * A function that has no driver of VFIO's is not reset together with others, although
 * a slice of it is left.
 */
START_TEST(hot_reset_spares_what_was_unbound)
{
	struct {
		uint32_t argsz, flags, count;
		int32_t group;
	} request = { .argsz = sizeof(request), .count = 1 };
	const char *bdf = lab_bdf("HOT1");
	struct device hot0, hot1;
	int kept;

	device_open(&hot0, "HOT0");
	device_open_sibling(&hot1, &hot0, "HOT1");
	kept = slice_new(&hot1, MEM, 0, PAGE);
	request.group = hot0.group;
	ck_assert_works(ioctl(hot0.fd, VFIO_DEVICE_PCI_HOT_RESET, &request));
	device_close(&hot1);
	device_close(&hot0);

	ck_assert_works(driver_unbind(bdf));
	device_open(&hot0, "HOT0");
	request.group = hot0.group;
	ck_assert_fails(ioctl(hot0.fd, VFIO_DEVICE_PCI_HOT_RESET, &request), EINVAL);
	device_close(&hot0);
	driver_rebind(bdf);
	close(kept);
}
END_TEST

static int unload(void)
{
	return syscall(SYS_delete_module, MODULE, O_NONBLOCK);
}

START_TEST(driver_stays_loaded_while_a_slice_lives)
{
	const char *bdf = lab_bdf("EDU");
	int status;

	ck_assert_fails(unload(), EWOULDBLOCK);
	device_close(&edu);
	ck_assert_fails(unload(), EWOULDBLOCK);

	/* The client's mapping alone is enough, too. */
	close(slice);
	ck_assert_fails(unload(), EWOULDBLOCK);
	ck_assert_int_eq(client_try_read(), SIGBUS);

	ck_assert_int_eq(client_munmap(client, map, PAGE), 0);
	ck_assert_works(unload());
	ck_assert(!driver_bound(bdf));

	status = system("modprobe " DRIVER);
	ck_assert_int_eq(status, 0);
	/* The devices' driver_override has outlived the driver. */
	ck_assert(driver_bound(bdf));
	device_open(&edu, "EDU");
	ck_assert_uint_eq(read32(device_map(&edu, 0, 0, PAGE)), EDU_ID_VALUE);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("lifetime");
	TCase *tc = add_group(s, "close");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, closing_the_device_revokes);
	tcase_add_test(tc, one_of_two_device_fds_may_close);
	tcase_add_test(tc, mapping_of_the_device_fd_counts_as_one);
	tcase_add_test(tc, slice_does_not_keep_the_device_open);
	tcase_add_test(tc, reopening_revives_no_slice);
	tcase_add_test(tc, death_of_the_owner_revokes);

	tc = add_group(s, "driver");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, unbinding_with_a_revoked_slice_left);
	tcase_add_test(tc, unbinding_an_open_device_asks_then_revokes);
	tcase_add_test(tc, removing_an_open_device_asks_then_revokes);
	tcase_add_test(tc, removing_a_closed_device_with_a_slice_left);
	tcase_add_test(tc, driver_stays_loaded_while_a_slice_lives);

	tc = add_group(s, "set");
	tcase_add_test(tc, hot_reset_spares_what_was_unbound);
	return s;
}
