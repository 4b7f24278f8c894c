// SPDX-License-Identifier: MIT
/*
 * A machine without IOMMU, and VFIO in its unsafe mode: the device would use an IOVA as a
 * physical address, of any memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "broker.h"
#include "device.h"
#include "kernel.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

static char error[VDB_ERROR_SIZE];

/* Replaces the C library's function, which our library calls. */
static bool no_iommufd;

int access(const char *path, int mode)
{
	if (no_iommufd && !strcmp(path, "/dev/iommu")) {
		errno = ENOENT;
		return -1;
	}
	return syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

static void check_no_iommu(bool failed)
{
	ck_assert(failed);
	ck_assert_msg(errno == EOPNOTSUPP, "%s: %s", strerrorname_np(errno), error);
	ck_assert_msg(strstr(error, "has no IOMMU"), "\"%s\"", error);
}

/* Registers can be used. */
START_TEST(cdev_of_a_device_without_iommu)
{
	struct vdb_device *device = vdb_device_open(lab_bdf("EDU"), NULL, error);
	struct vdb_bar bar;

	ck_assert_msg(device, "%s", error);
	ck_assert_works(vdb_device_bar(device, 0, &bar));
	ck_assert_uint_eq(bar.size, 1 << 20);
	check_no_iommu(!vdb_dma_from_device(device, error));
}
END_TEST

/* The library cannot know this before something is mapped. */
START_TEST(ioas_of_a_device_without_iommu)
{
	char *memory = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct vdb_device *device = vdb_device_open(lab_bdf("EDU"), NULL, error);
	struct vdb_dma *dma;
	uint64_t iova = 0;

	ck_assert_msg(device, "%s", error);
	/* The first object of an iommufd is its device, the second the address space. */
	for (uint32_t ioas = 1; ioas < 8; ioas++) {
		dma = vdb_dma_from_fd(vdb_device_iommu_fd(device), ioas, error);
		if (dma)
			break;
	}
	ck_assert_msg(dma, "%s", error);
	ck_assert_fails(vdb_dma_map(dma, memory, PAGE, 0, &iova), EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(vdb_dma_error(dma), "has no IOMMU"));
	ck_assert_uint_eq(iova, 0);
	ck_assert_ptr_null(vdb_memory_alloc(dma, PAGE, 0));
	ck_assert_int_eq(errno, EOPNOTSUPP);
}
END_TEST

START_TEST(group_of_a_device_without_iommu)
{
	no_iommufd = true;
	check_no_iommu(!vdb_device_open(lab_bdf("EDU"), NULL, error));
}
END_TEST

START_TEST(container_of_a_device_without_iommu)
{
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), group;
	char number[16], path[64];

	ck_assert(function_link(lab_bdf("EDU"), "iommu_group", number, sizeof(number)));
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", number);
	group = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_works(group);
	ck_assert_works(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	ck_assert_works(ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU));
	check_no_iommu(!vdb_dma_from_fd(container, 0, error));
}
END_TEST

#define CONFIG(more)	\
	"devices:\n"	\
	"  edu:\n"	\
	"    function: @EDU@\n"	\
	"    reset: never\n"	\
	"    slices:\n"	\
	"      plain: {length: 4K, allow: everybody}\n"	\
	more

#define MEMORY	"      queue: {length: 4K, offset: 16K, memory: 64K, allow: everybody}\n"

static pid_t broker;

static void begin_broker(void)
{
	unlink(BROKER_LOG);
	manager_init();
}

static void end_broker(void)
{
	/* A test that is skipped starts none. */
	if (broker)
		broker_stop(broker, SIGTERM);
}

START_TEST(broker_that_starts_with_memory)
{
	struct vdb_client *client;

	broker_configure(CONFIG(MEMORY));
	broker = broker_start();
	client = broker_connect();
	broker_wait_log("edu/queue: ");
	broker_wait_log("cannot have memory: ");
	broker_wait_log("has no IOMMU");
	ck_assert_int_eq(broker_acquire_error(client, "edu/queue", 0, 0, 0), ENODEV);
	ck_assert_int_eq(broker_acquire_error(client, "edu/plain", 0, 0, 0), ENODEV);
}
END_TEST

/* Registers are lent, and the lease goes on. */
START_TEST(reload_with_memory)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	broker_configure(CONFIG(""));
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/plain", 0);
	broker_configure(CONFIG(MEMORY));
	broker_reload(broker, false);
	broker_wait_log("cannot have memory: ");
	broker_wait_log("has no IOMMU");
	ck_assert_int_eq(broker_acquire_error(client, "edu/queue", 0, 0, 0), ENOENT);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);
	ck_assert_works(vdb_client_release(client, lease.id));
}
END_TEST

Suite *suite(void)
{
	const char *reason = kernel_started_with("vfio.enable_unsafe_noiommu_mode=1") ? NULL :
			     "the kernel was not started without IOMMU";
	Suite *s = suite_create("noiommu");
	TCase *tc = add_group(s, "refused");

	add_test_or_skip(tc, cdev_of_a_device_without_iommu, reason);
	add_test_or_skip(tc, ioas_of_a_device_without_iommu, reason);
	add_test_or_skip(tc, group_of_a_device_without_iommu, reason);
	add_test_or_skip(tc, container_of_a_device_without_iommu, reason);

	tc = add_group(s, "broker");
	tcase_add_checked_fixture(tc, begin_broker, end_broker);
	add_test_or_skip(tc, broker_that_starts_with_memory, reason);
	add_test_or_skip(tc, reload_with_memory, reason);
	return s;
}
