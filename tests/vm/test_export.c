// SPDX-License-Identifier: MIT
/* The export request: valid arguments, and each documented error. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "device.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define GET	(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF)

typedef struct vfio_region_dma_range range_t;

static struct device edu, mem;

static void open_edu(void)
{
	device_open(&edu, "EDU");
}

static void open_mem(void)
{
	device_open(&mem, "IVSHMEM");
}

/* The request with one range, to be spoiled by the test. */
struct request {
	struct vfio_device_feature feature;
	struct {
		uint32_t region_index;
		uint32_t open_flags;
		uint32_t flags;
		uint32_t nr_ranges;
	} dma_buf;
	range_t range;
};

#define GOOD_REQUEST {							\
	.feature = { sizeof(struct request), GET },			\
	.dma_buf = { .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 },	\
	.range = { 0, PAGE },						\
}

static int issue(const struct request *request)
{
	return ioctl(edu.fd, VFIO_DEVICE_FEATURE, request);
}

static int export_one(const struct device *dev, uint32_t bar, uint64_t offset,
		      uint64_t length)
{
	range_t range = { offset, length };

	return slice_export(dev, bar, O_RDWR | O_CLOEXEC, &range, 1);
}

START_TEST(good_request_is_good)
{
	struct request request = GOOD_REQUEST;

	ck_assert_works(issue(&request));
}
END_TEST

START_TEST(probe_reports_the_features)
{
	const uint32_t probe = VFIO_DEVICE_FEATURE_PROBE;

	ck_assert_works(device_feature(&edu, probe | GET));
	ck_assert_works(device_feature(&edu, probe | VFIO_DEVICE_FEATURE_DMA_BUF));
	ck_assert_works(device_feature(&edu, probe | VFIO_DEVICE_FEATURE_SET |
				       VFIO_DMABUF_FEATURE_REVOKE));
	ck_assert_fails(device_feature(&edu, probe | VFIO_DEVICE_FEATURE_SET |
				       VFIO_DEVICE_FEATURE_DMA_BUF), EINVAL);
	ck_assert_fails(device_feature(&edu, probe | VFIO_DEVICE_FEATURE_GET |
				       VFIO_DMABUF_FEATURE_REVOKE), EINVAL);
	ck_assert_fails(device_feature(&edu, probe | VFIO_DEVICE_FEATURE_GET |
				       (VFIO_DMABUF_FEATURE_REVOKE - 100)),
			ENOTTY);
}
END_TEST

START_TEST(flags_must_be_zero)
{
	struct request request = GOOD_REQUEST;

	request.dma_buf.flags = 1;
	ck_assert_fails(issue(&request), EINVAL);
	request.dma_buf.flags = 1u << 31;
	ck_assert_fails(issue(&request), EINVAL);
}
END_TEST

START_TEST(open_flags_must_be_known)
{
	static const uint32_t bad[] = {
		O_WRONLY, O_ACCMODE, O_RDWR | O_NONBLOCK, O_RDWR | O_APPEND,
		O_RDWR | O_CREAT, O_RDWR | O_PATH, ~0u,
	};
	struct request request = GOOD_REQUEST;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		request.dma_buf.open_flags = bad[i];
		ck_assert_fails(issue(&request), EINVAL);
	}
}
END_TEST

START_TEST(cloexec_is_as_asked)
{
	struct request request = GOOD_REQUEST;

	ck_assert_int_eq(fcntl(issue(&request), F_GETFD), FD_CLOEXEC);
	request.dma_buf.open_flags = O_RDWR;
	ck_assert_int_eq(fcntl(issue(&request), F_GETFD), 0);
}
END_TEST

START_TEST(argsz_must_hold_the_ranges)
{
	struct request request = GOOD_REQUEST;

	request.feature.argsz = sizeof(request) - 1;
	ck_assert_fails(issue(&request), EINVAL);
	request.feature.argsz = sizeof(request) - sizeof(request.range);
	ck_assert_fails(issue(&request), EINVAL);
	request.feature.argsz = sizeof(request.feature);
	ck_assert_fails(issue(&request), EINVAL);

	request.feature.argsz = sizeof(request);
	request.dma_buf.nr_ranges = 2;
	ck_assert_fails(issue(&request), EINVAL);
}
END_TEST

START_TEST(ranges_that_cannot_be_read_fault)
{
	struct request request = GOOD_REQUEST;
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *at = pages + PAGE - offsetof(struct request, range);

	ck_assert_works(mprotect(pages + PAGE, PAGE, PROT_NONE));
	memcpy(at, &request, offsetof(struct request, range));
	ck_assert_fails(issue(at), EFAULT);
}
END_TEST

START_TEST(number_of_ranges_is_limited)
{
	const uint32_t most = VFIO_DMABUF_MAX_RANGES;
	range_t *ranges = calloc(most + 1, sizeof(*ranges));
	uint32_t i;
	int fd;

	for (i = 0; i <= most; i++)
		ranges[i].length = PAGE;

	ck_assert_fails(slice_export(&edu, 0, O_RDWR, ranges, 0), EINVAL);
	ck_assert_fails(slice_export(&edu, 0, O_RDWR, ranges, most + 1), E2BIG);
	fd = slice_export(&edu, 0, O_RDWR, ranges, most);
	ck_assert_works(fd);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), most * PAGE);
	free(ranges);
}
END_TEST

START_TEST(ranges_must_be_whole_pages)
{
	ck_assert_fails(export_one(&edu, 0, 0, 0), EINVAL);
	ck_assert_fails(export_one(&edu, 0, 0, PAGE - 1), EINVAL);
	ck_assert_fails(export_one(&edu, 0, 0, PAGE + 8), EINVAL);
	ck_assert_fails(export_one(&edu, 0, 8, PAGE), EINVAL);
	ck_assert_fails(export_one(&edu, 0, PAGE / 2, PAGE), EINVAL);
}
END_TEST

START_TEST(ranges_must_end_within_the_bar)
{
	const uint64_t size = device_bar_size(&edu, 0);
	const range_t second_is_bad[] = { { 0, PAGE }, { size, PAGE } };

	ck_assert_works(export_one(&edu, 0, 0, size));
	ck_assert_works(export_one(&edu, 0, size - PAGE, PAGE));
	ck_assert_fails(export_one(&edu, 0, 0, size + PAGE), EINVAL);
	ck_assert_fails(export_one(&edu, 0, size - PAGE, 2 * PAGE), EINVAL);
	ck_assert_fails(export_one(&edu, 0, size, PAGE), EINVAL);
	ck_assert_fails(export_one(&edu, 0, 1ULL << 40, PAGE), EINVAL);
	ck_assert_fails(slice_export(&edu, 0, O_RDWR, second_is_bad, 2), EINVAL);
}
END_TEST

START_TEST(end_of_a_range_must_not_overflow)
{
	const range_t second_is_bad[] = { { 0, PAGE }, { -PAGE, PAGE } };

	ck_assert_fails(slice_export(&edu, 0, O_RDWR, second_is_bad, 2), EOVERFLOW);
	ck_assert_fails(export_one(&edu, 0, -PAGE, PAGE), EOVERFLOW);
	ck_assert_fails(export_one(&edu, 0, PAGE, -PAGE), EOVERFLOW);
	ck_assert_fails(export_one(&edu, 0, 1ULL << 63, 1ULL << 63), EOVERFLOW);
}
END_TEST

START_TEST(buffer_must_end_below_the_limit)
{
	range_t ranges[3073];
	struct device big;
	uint64_t size;
	uint32_t nr, i;

	device_open(&big, "IVSHMEM_BIG");
	size = device_bar_size(&big, MEM);
	nr = VFIO_DMABUF_MAX_END / size;
	ck_assert_uint_le(nr + 1, 3073);
	for (i = 0; i <= nr; i++)
		ranges[i] = (range_t){ 0, size };

	ck_assert_works(slice_export(&big, MEM, O_RDWR, ranges, nr));
	ck_assert_fails(slice_export(&big, MEM, O_RDWR, ranges, nr + 1),
			EOVERFLOW);
	/* The same length, but it starts one page higher in the BAR. */
	ranges[0] = (range_t){ PAGE, size - PAGE };
	ranges[nr] = (range_t){ 0, PAGE };
	ck_assert_fails(slice_export(&big, MEM, O_RDWR, ranges, nr + 1),
			EOVERFLOW);
}
END_TEST

START_TEST(only_memory_bars_can_be_exported)
{
	struct device e1000e;

	ck_assert_fails(export_one(&edu, 1, 0, PAGE), ENODEV);
	ck_assert_fails(export_one(&edu, VFIO_PCI_ROM_REGION_INDEX, 0, PAGE),
			ENODEV);
	ck_assert_fails(export_one(&edu, VFIO_PCI_CONFIG_REGION_INDEX, 0, PAGE),
			ENODEV);
	ck_assert_fails(export_one(&edu, ~0u, 0, PAGE), ENODEV);

	device_open(&e1000e, "E1000E");
	ck_assert_fails(export_one(&e1000e, 2, 0, PAGE), ENODEV);
}
END_TEST

START_TEST(small_bar_is_exported_where_vfio_reserved_its_page)
{
	struct vfio_region_info region = device_region(&mem, 0);
	uint32_t by_read;
	void *map;

	ck_assert_uint_lt(region.size, PAGE);
	ck_assert_fails(export_one(&mem, 0, 0, 2 * PAGE),
			region.flags & VFIO_REGION_INFO_FLAG_MMAP ? EINVAL : ENODEV);
	if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		ck_assert_fails(export_one(&mem, 0, 0, PAGE), ENODEV);
		return;
	}
	map = slice_map(slice_new(&mem, 0, 0, PAGE), 0, PAGE);
	ck_assert_works(device_peek(&mem, 0, 8, &by_read, 4));
	ck_assert_uint_eq(read32(map + 8), by_read);
}
END_TEST

START_TEST(no_free_fd_leaves_no_buffer)
{
	struct rlimit limit;
	int top = dup(edu.fd);

	ck_assert_works(top);
	close(top);
	ck_assert_works(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = top;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	ck_assert_fails(export_one(&edu, 0, 0, PAGE), EMFILE);

	limit.rlim_cur = top + 8;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	ck_assert_uint_eq(listing_read(edu.bdf, NULL, 0), 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("export");
	TCase *tc = add_group(s, "request");

	tcase_add_checked_fixture(tc, open_edu, NULL);
	tcase_add_test(tc, good_request_is_good);
	tcase_add_test(tc, probe_reports_the_features);
	tcase_add_test(tc, flags_must_be_zero);
	tcase_add_test(tc, open_flags_must_be_known);
	tcase_add_test(tc, cloexec_is_as_asked);
	tcase_add_test(tc, argsz_must_hold_the_ranges);
	tcase_add_test(tc, ranges_that_cannot_be_read_fault);
	tcase_add_test(tc, number_of_ranges_is_limited);
	tcase_add_test(tc, ranges_must_be_whole_pages);
	tcase_add_test(tc, ranges_must_end_within_the_bar);
	tcase_add_test(tc, end_of_a_range_must_not_overflow);
	tcase_add_test(tc, buffer_must_end_below_the_limit);
	tcase_add_test(tc, only_memory_bars_can_be_exported);
	tcase_add_test(tc, no_free_fd_leaves_no_buffer);

	tc = add_group(s, "memory");
	tcase_add_checked_fixture(tc, open_mem, NULL);
	tcase_add_test(tc, small_bar_is_exported_where_vfio_reserved_its_page);
	return s;
}
