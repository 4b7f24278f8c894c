// SPDX-License-Identifier: MIT
/*
 * iommufd imports DMABUFs of vfio-pci-core only.  A program gets them by CORE_EXPORT,
 * or by the device's setting. iommufd refuses slices.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio_dmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "kernel.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define IOVA	0x10000000UL
#define SETTING	"vfio_dmabuf/core_export"

#ifndef IOMMU_IOAS_MAP_FILE
/* Headers older than Linux 6.13 do not have it. */
struct iommu_ioas_map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};
#define IOMMU_IOAS_MAP_FILE	_IO(IOMMUFD_TYPE, 0x8f)
#endif

static struct device mem;

/* Before each test, too: one that failed may have left it. */
static void restore(void)
{
	sysfs_write(lab_find("IVSHMEM"), SETTING, "0");
}

static void setup(void)
{
	restore();
	device_open(&mem, "IVSHMEM");
}

static void setup_cdev(void)
{
	restore();
	device_open_cdev(&mem, "IVSHMEM");
}

/* One range, by either feature; the fd, or -1 with errno. */
static int export_by(uint32_t feature)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf dma_buf;
		struct vfio_region_dma_range range;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | feature,
		.dma_buf = {
			.region_index = MEM,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = 1,
		},
		.range = { 4 * PAGE, 4 * PAGE },
	};

	return ioctl(mem.fd, VFIO_DEVICE_FEATURE, &request);
}

/* The core's: no CPU can map it, and it is none of this driver's. */
static void check_core(int fd)
{
	ck_assert_works(fd);
	ck_assert_ptr_eq(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0),
			 MAP_FAILED);
	ck_assert_fails(slice_revoke(&mem, fd), EINVAL);
	ck_assert_fails(slice_set_memattr(&mem, fd, VFIO_DMABUF_MEMATTR_WC),
			EINVAL);
}

static void check_slice(int fd)
{
	ck_assert_works(fd);
	slice_map(fd, 0, PAGE);
}

START_TEST(export_of_the_core_by_its_feature)
{
	ck_assert_works(device_feature(&mem, VFIO_DEVICE_FEATURE_PROBE |
				       VFIO_DEVICE_FEATURE_GET |
				       VFIO_DMABUF_FEATURE_CORE_EXPORT));
	check_core(export_by(VFIO_DMABUF_FEATURE_CORE_EXPORT));
	check_slice(export_by(VFIO_DEVICE_FEATURE_DMA_BUF));
}
END_TEST

START_TEST(export_of_the_core_by_the_setting)
{
	int before = export_by(VFIO_DEVICE_FEATURE_DMA_BUF);

	ck_assert_works(sysfs_write(mem.bdf, SETTING, "1"));
	check_core(export_by(VFIO_DEVICE_FEATURE_DMA_BUF));
	check_core(export_by(VFIO_DMABUF_FEATURE_CORE_EXPORT));
	check_slice(before);
	ck_assert_works(slice_revoke(&mem, before));
	ck_assert_works(sysfs_write(mem.bdf, SETTING, "0"));
	check_slice(export_by(VFIO_DEVICE_FEATURE_DMA_BUF));
}
END_TEST

/* Both kinds stand in one address space of the device; both go with it. */
START_TEST(both_kinds_side_by_side)
{
	int core = export_by(VFIO_DMABUF_FEATURE_CORE_EXPORT);
	int slice = export_by(VFIO_DEVICE_FEATURE_DMA_BUF);

	ck_assert_works(core);
	check_slice(slice);
	device_set_memory(&mem, false);
	device_set_memory(&mem, true);
	device_close(&mem);
	ck_assert_fails(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, slice, 0), ENODEV);
}
END_TEST

START_TEST(older_kernel_has_none)
{
	ck_assert_fails(export_by(VFIO_DMABUF_FEATURE_CORE_EXPORT), ENOTTY);
	ck_assert_fails(device_feature(&mem, VFIO_DEVICE_FEATURE_PROBE |
				       VFIO_DEVICE_FEATURE_GET |
				       VFIO_DMABUF_FEATURE_CORE_EXPORT), ENOTTY);
	ck_assert_fails(sysfs_write(mem.bdf, SETTING, "1"), EOPNOTSUPP);
	check_slice(export_by(VFIO_DEVICE_FEATURE_DMA_BUF));
}
END_TEST

START_TEST(setting_takes_truth_values_only)
{
	ck_assert_fails(sysfs_write(mem.bdf, SETTING, "2"), EINVAL);
	ck_assert_fails(sysfs_write(mem.bdf, SETTING, "core"), EINVAL);
	ck_assert_works(sysfs_write(mem.bdf, SETTING, "0"));
	ck_assert_works(setresuid(1000, 1000, 1000));
	ck_assert_fails(sysfs_write(mem.bdf, SETTING, "0"), EACCES);
}
END_TEST

/* 0, or -1 with errno. */
static int map_file(int fd)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.fd = fd,
		.start = 0,
		.length = PAGE,
		.iova = IOVA,
	};

	ck_assert_works(ioctl(mem.container, IOMMU_IOAS_ALLOC, &alloc));
	map.ioas_id = alloc.out_ioas_id;
	return ioctl(mem.container, IOMMU_IOAS_MAP_FILE, &map);
}

START_TEST(iommufd_takes_the_core_s)
{
	ck_assert_works(map_file(export_by(VFIO_DMABUF_FEATURE_CORE_EXPORT)));
	ck_assert_works(sysfs_write(mem.bdf, SETTING, "1"));
	ck_assert_works(map_file(export_by(VFIO_DEVICE_FEATURE_DMA_BUF)));
}
END_TEST

START_TEST(iommufd_refuses_a_slice)
{
	int fd = export_by(VFIO_DEVICE_FEATURE_DMA_BUF);

	check_slice(fd);
	ck_assert_int_eq(map_file(fd), -1);
	ck_assert_works(slice_revoke(&mem, fd));
}
END_TEST

Suite *suite(void)
{
	const char *old = kernel_is(7, 0) ? NULL :
			  "vfio-pci-core of this kernel exports nothing";
	const char *no_iommufd = old ? old : device_cdev_missing();
	Suite *s = suite_create("iommufd");
	TCase *tc = add_group(s, "export");

	tcase_add_unchecked_fixture(tc, NULL, restore);
	tcase_add_checked_fixture(tc, setup, NULL);
	add_test_or_skip(tc, export_of_the_core_by_its_feature, old);
	add_test_or_skip(tc, export_of_the_core_by_the_setting, old);
	add_test_or_skip(tc, both_kinds_side_by_side, old);
	tcase_add_test(tc, setting_takes_truth_values_only);
	add_test_or_skip(tc, older_kernel_has_none, old ? NULL :
			 "vfio-pci-core of this kernel exports");

	tc = add_group(s, "import");
	if (!no_iommufd) {
		tcase_add_unchecked_fixture(tc, NULL, restore);
		tcase_add_checked_fixture(tc, setup_cdev, NULL);
	}
	add_test_or_skip(tc, iommufd_takes_the_core_s, no_iommufd);
	add_test_or_skip(tc, iommufd_refuses_a_slice, no_iommufd);
	return s;
}
