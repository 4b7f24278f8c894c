// SPDX-License-Identifier: MIT
/*
 * DMA mappings with a simulated kernel: both types of IO address space, with answers that
 * a real machine rarely gives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "suite.h"

#define PAGE	0x1000ULL
#define MIB	(1ULL << 20)
#define GIB	(1ULL << 30)
#define IOAS	7

/* Newer than the headers of some machines. */
#define MAP_FILE_NR		0x8f
#define NOIOMMU_GET_PA_NR	0x95
struct map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};

/* ---- the kernel ---- */

static struct {
	struct iommu_iova_range usable[64];
	size_t nr_usable;
	struct { uint64_t first, last; bool read_only; } mapped[1024];
	size_t nr_mapped;
	int map_errno;		/* not 0: mapping fails with it */
	int map_errno_once;	/* the same, for the next mapping only */
	int info_errno;
	uint64_t unmap_only;	/* not 0: bytes that unmapping reports as unmapped */
	bool no_map_file;
	bool noiommu;
	bool no_device;		/* no device is attached to the IOAS */
	bool per_process;
	unsigned int map_calls, file_calls;
} kernel;

static int fails(int error)
{
	errno = error;
	return -1;
}

static int kernel_map(uint64_t iova, uint64_t length, bool read_only)
{
	uint64_t last = iova + length - 1;
	bool in_range = false;

	kernel.map_calls++;
	if (kernel.map_errno)
		return fails(kernel.map_errno);
	if (kernel.map_errno_once) {
		errno = kernel.map_errno_once;
		kernel.map_errno_once = 0;
		return -1;
	}
	for (size_t i = 0; i < kernel.nr_usable; i++)
		in_range |= iova >= kernel.usable[i].start && last <= kernel.usable[i].last;
	if (!in_range)
		return fails(EINVAL);
	for (size_t i = 0; i < kernel.nr_mapped; i++)
		if (iova <= kernel.mapped[i].last && kernel.mapped[i].first <= last)
			return fails(EEXIST);
	ck_assert_uint_lt(kernel.nr_mapped, 1024);
	kernel.mapped[kernel.nr_mapped].first = iova;
	kernel.mapped[kernel.nr_mapped].last = last;
	kernel.mapped[kernel.nr_mapped++].read_only = read_only;
	return 0;
}

/* Unmaps whole mappings only.  @split: set if the range has a part of one. */
static uint64_t kernel_unmap(uint64_t iova, uint64_t length, bool *split)
{
	uint64_t last = iova + length - 1, unmapped = 0;

	ck_assert_uint_ge(last, iova);
	*split = false;
	for (size_t i = 0; i < kernel.nr_mapped; i++)
		*split |= kernel.mapped[i].first <= last && iova <= kernel.mapped[i].last &&
			  (kernel.mapped[i].first < iova || kernel.mapped[i].last > last);
	for (size_t i = kernel.nr_mapped; i-- && !*split; ) {
		if (kernel.mapped[i].first < iova || kernel.mapped[i].last > last)
			continue;
		unmapped += kernel.mapped[i].last - kernel.mapped[i].first + 1;
		kernel.mapped[i] = kernel.mapped[--kernel.nr_mapped];
	}
	return unmapped && kernel.unmap_only ? kernel.unmap_only : unmapped;
}

/* As in kernels before 6.6, capabilities are not aligned. */
static int type1_info(struct vfio_iommu_type1_info *info)
{
	const struct vfio_iommu_type1_info_dma_avail other = {
		.header = { VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, sizeof(*info) + sizeof(other) },
	};
	const struct vfio_iommu_type1_info_cap_iova_range ranges = {
		.header = { VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0 },
		.nr_iovas = kernel.nr_usable,
	};
	uint32_t room = info->argsz;
	char *to = (char *)(info + 1);

	if (kernel.info_errno)
		return fails(kernel.info_errno);
	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = 0xfffffffffffff000;
	info->argsz = sizeof(*info) + sizeof(other) + sizeof(ranges) +
		      kernel.nr_usable * sizeof(struct vfio_iova_range);
	info->cap_offset = 0;
	if (room < info->argsz)
		return 0;
	info->cap_offset = sizeof(*info);
	to = mempcpy(to, &other, sizeof(other));
	to = mempcpy(to, &ranges, sizeof(ranges));
	/* Both structs consist of a first and a last address. */
	if (kernel.nr_usable)
		memcpy(to, kernel.usable, kernel.nr_usable * sizeof(struct vfio_iova_range));
	return 0;
}

static int ioas_ranges(struct iommu_ioas_iova_ranges *query)
{
	uint32_t room = query->num_iovas;

	if (kernel.info_errno || query->ioas_id != IOAS)
		return fails(kernel.info_errno ?: ENOENT);
	query->num_iovas = kernel.nr_usable;
	query->out_iova_alignment = kernel.no_device ? 1 : PAGE;
	if (room < kernel.nr_usable)
		return fails(EMSGSIZE);
	if (kernel.nr_usable)
		memcpy((void *)(uintptr_t)query->allowed_iovas, kernel.usable,
		       kernel.nr_usable * sizeof(kernel.usable[0]));
	return 0;
}

static bool ioas_read_only(uint32_t flags)
{
	ck_assert_uint_eq(flags & ~IOMMU_IOAS_MAP_WRITEABLE, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE);
	return !(flags & IOMMU_IOAS_MAP_WRITEABLE);
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	bool split;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	ck_assert_int_eq(fd, 99);
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return type1_info(arg);
	case VFIO_IOMMU_MAP_DMA: {
		struct vfio_iommu_type1_dma_map *map = arg;

		ck_assert(map->flags & VFIO_DMA_MAP_FLAG_READ);
		return kernel_map(map->iova, map->size, !(map->flags & VFIO_DMA_MAP_FLAG_WRITE));
	}
	case VFIO_IOMMU_UNMAP_DMA: {
		struct vfio_iommu_type1_dma_unmap *unmap = arg;

		/* As Linux 6.12, which finds nothing before the address after the last one. */
		if (unmap->iova + unmap->size == 0) {
			unmap->size = 0;
			return 0;
		}
		unmap->size = kernel_unmap(unmap->iova, unmap->size, &split);
		return split ? fails(EINVAL) : 0;
	}
	case IOMMU_IOAS_IOVA_RANGES:
		return ioas_ranges(arg);
	case IOMMU_IOAS_MAP: {
		struct iommu_ioas_map *map = arg;

		return kernel_map(map->iova, map->length, ioas_read_only(map->flags));
	}
	case _IO(IOMMUFD_TYPE, MAP_FILE_NR): {
		struct map_file *map = arg;

		kernel.file_calls++;
		if (kernel.no_map_file)
			return fails(ENOTTY);
		ck_assert_int_ge(fcntl(map->fd, F_GET_SEALS), 0);
		return kernel_map(map->iova, map->length, ioas_read_only(map->flags));
	}
	case IOMMU_IOAS_UNMAP: {
		struct iommu_ioas_unmap *unmap = arg;

		unmap->length = kernel_unmap(unmap->iova, unmap->length, &split);
		return unmap->length ? 0 : fails(ENOENT);
	}
	case IOMMU_OPTION:
		((struct iommu_option *)arg)->val64 = kernel.per_process;
		return 0;
	case _IO(IOMMUFD_TYPE, NOIOMMU_GET_PA_NR):
		return kernel.noiommu ? 0 : fails(ENOTTY);
	}
	ck_abort_msg("ioctl %#lx", request);
}

static rlim_t memlock;

int __wrap_getrlimit64(int resource, struct rlimit *limit);
int __wrap_getrlimit64(int resource, struct rlimit *limit)
{
	ck_assert_int_eq(resource, RLIMIT_MEMLOCK);
	limit->rlim_cur = limit->rlim_max = memlock;
	return 0;
}

/* ---- both kinds ---- */

static struct vdb_dma *dma;
static char memory[4 * PAGE] __attribute__((aligned(PAGE)));

static void set_usable(size_t nr, const struct iommu_iova_range *usable)
{
	memcpy(kernel.usable, usable, nr * sizeof(*usable));
	kernel.nr_usable = nr;
}

static void open_kind(int kind)
{
	char error[VDB_ERROR_SIZE];

	dma = vdb_dma_from_fd(99, kind ? IOAS : 0, error);
	ck_assert_msg(dma, "%s", error);
	ck_assert_uint_eq(vdb_dma_ioas(dma), kind ? IOAS : 0);
}

/* As on a PC: without the interrupt controller's addresses, 48 bits wide. */
static void setup(void)
{
	memset(&kernel, 0, sizeof(kernel));
	set_usable(2, (const struct iommu_iova_range[]){
			{ 0, 0xfedfffff }, { 0xfef00000, (1ULL << 48) - 1 } });
}

static uint64_t map(void *address, uint64_t length)
{
	uint64_t iova = 1;

	ck_assert_msg(!vdb_dma_map(dma, address, length, 0, &iova), "%s", vdb_dma_error(dma));
	ck_assert_uint_ne(iova, 0);
	return iova;
}

static void check_error(int error, const char *text)
{
	ck_assert_msg(errno == error, "%s, not %s: %s", strerrorname_np(errno), strerrorname_np(error),
		      vdb_dma_error(dma));
	ck_assert_msg(strstr(vdb_dma_error(dma), text), "\"%s\" has no \"%s\"", vdb_dma_error(dma), text);
}

static void check_map_fails(uint64_t length, int error, const char *text)
{
	uint64_t iova = 1;

	ck_assert_int_eq(vdb_dma_map(dma, memory, length, 0, &iova), -1);
	check_error(error, text);
	ck_assert_uint_eq(iova, 1);
}

START_TEST(mapped_and_unmapped)
{
	uint64_t iova, other;

	open_kind(_i);
	iova = map(memory, PAGE);
	other = map(memory + PAGE, 2 * PAGE);
	ck_assert_uint_eq(kernel.nr_mapped, 2);
	ck_assert(!kernel.mapped[0].read_only);
	for (int i = 0; i < 4; i++) {
		static const uint64_t wrong[][2] = { { 0, 2 }, { 1, 1 }, { 0, 0 }, { 0, UINT64_MAX / PAGE } };

		ck_assert_int_eq(vdb_dma_unmap(dma, iova + wrong[i][0] * PAGE, wrong[i][1] * PAGE), -1);
		check_error(EINVAL, "not one mapping");
	}
	ck_assert_uint_eq(kernel.nr_mapped, 2);
	ck_assert_int_eq(vdb_dma_unmap(dma, iova, PAGE), 0);
	ck_assert_int_eq(vdb_dma_unmap(dma, other, 2 * PAGE), 0);
	ck_assert_uint_eq(kernel.nr_mapped, 0);
	ck_assert_int_eq(vdb_dma_unmap(dma, iova, PAGE), -1);
	check_error(EINVAL, "not one mapping");
	vdb_dma_close(dma);
}
END_TEST

START_TEST(read_only_for_the_device)
{
	uint64_t iova;

	open_kind(_i);
	ck_assert_int_eq(vdb_dma_map(dma, memory, PAGE, VDB_FLAG_DMA_READ_ONLY, &iova), 0);
	ck_assert(kernel.mapped[0].read_only);
	ck_assert_int_eq(vdb_dma_map(dma, memory, PAGE, VDB_FLAG_READ_ONLY, &iova), -1);
	check_error(EINVAL, "flags");
	vdb_dma_close(dma);
}
END_TEST

START_TEST(parts_of_pages)
{
	uint64_t iova;

	open_kind(_i);
	check_map_fails(0, EINVAL, "whole pages");
	check_map_fails(PAGE + 1, EINVAL, "whole pages");
	ck_assert_int_eq(vdb_dma_map(dma, memory + 8, PAGE, 0, &iova), -1);
	check_error(EINVAL, "whole pages");
	ck_assert_uint_eq(kernel.map_calls, 0);
	vdb_dma_close(dma);
}
END_TEST

START_TEST(ioas_without_a_device)
{
	kernel.no_device = true;
	open_kind(1);
	ck_assert_uint_eq(map(memory, PAGE) % PAGE, 0);
	check_map_fails(PAGE / 2, EINVAL, "whole pages");
	vdb_dma_close(dma);
}
END_TEST

/* The page tables of CPU and IOMMU have pages of 2 MiB and 1 GiB. */
START_TEST(alignment_for_huge_pages)
{
	char *at = (char *)(5 * GIB);

	open_kind(_i);
	map(memory, PAGE);
	ck_assert_uint_eq(map(at, 2 * MIB) % (2 * MIB), 0);
	ck_assert_uint_eq(map(at, 6 * MIB) % (2 * MIB), 0);
	ck_assert_uint_eq(map(at + 3 * PAGE, 4 * MIB) % (2 * MIB), 3 * PAGE);
	ck_assert_uint_eq(map(at, GIB) % GIB, 0);
	ck_assert_uint_eq(map(at + 2 * MIB, 2 * GIB) % GIB, 2 * MIB);
	vdb_dma_close(dma);
}
END_TEST

START_TEST(alignment_is_only_a_wish)
{
	open_kind(_i);
	set_usable(1, &(struct iommu_iova_range){ 0x3000, 0x3000 + 2 * MIB - 1 });
	ck_assert_uint_eq(map((char *)GIB, 2 * MIB), 0x3000);
	vdb_dma_close(dma);
}
END_TEST

START_TEST(width_of_the_device)
{
	open_kind(_i);
	ck_assert_int_eq(vdb_dma_set_width(dma, 0), -1);
	check_error(EINVAL, "0 bits");
	ck_assert_int_eq(vdb_dma_set_width(dma, 65), -1);
	ck_assert_int_eq(vdb_dma_set_width(dma, 16), 0);
	for (int i = 1; i < 16; i++)
		ck_assert_uint_le(map(memory, PAGE), 0xffff - (PAGE - 1));
	check_map_fails(PAGE, ENOSPC, "below 2^16");
	/* Unmapping something makes room. */
	ck_assert_int_eq(vdb_dma_unmap(dma, 5 * PAGE, PAGE), 0);
	ck_assert_uint_eq(map(memory, PAGE), 5 * PAGE);
	ck_assert_int_eq(vdb_dma_set_width(dma, 64), 0);
	ck_assert_uint_gt(map(memory, PAGE), 0xffff);
	vdb_dma_close(dma);
}
END_TEST

/* A device that is attached later reduces the usable addresses. */
START_TEST(ranges_change)
{
	open_kind(_i);
	map(memory, PAGE);
	set_usable(1, &(struct iommu_iova_range){ 16 * GIB, 17 * GIB - 1 });
	ck_assert_uint_ge(map(memory, PAGE), 16 * GIB);
	kernel.nr_usable = 0;
	check_map_fails(PAGE, ENOSPC, "0 usable ranges");
	for (kernel.nr_usable = 0; kernel.nr_usable < 64; kernel.nr_usable++)
		kernel.usable[kernel.nr_usable] =
			(struct iommu_iova_range){ (64 + kernel.nr_usable) * MIB,
						   (64 + kernel.nr_usable) * MIB + PAGE - 1 };
	ck_assert_uint_eq(map(memory, PAGE), 64 * MIB);
	vdb_dma_close(dma);
}
END_TEST

/* A mapping of another process, for example, which can be large. */
START_TEST(others_have_mapped)
{
	uint64_t iova;

	open_kind(_i);
	ck_assert_int_eq(kernel_map(0, GIB, false), 0);
	kernel.map_calls = 0;
	iova = map(memory, PAGE);
	ck_assert_uint_ge(iova, GIB);
	ck_assert_uint_le(kernel.map_calls, 20);
	kernel.map_calls = 0;
	map(memory, PAGE);
	ck_assert_uint_eq(kernel.map_calls, 1);
	/* Mappings of others cannot be unmapped. */
	ck_assert_int_eq(vdb_dma_unmap(dma, PAGE, PAGE), -1);
	check_error(EINVAL, "not one mapping");
	ck_assert_int_eq(vdb_dma_set_width(dma, 30), 0);
	check_map_fails(PAGE, ENOSPC, "no IOVA left");
	vdb_dma_close(dma);
}
END_TEST

START_TEST(reserved_by_the_caller)
{
	open_kind(_i);
	ck_assert_int_eq(vdb_dma_reserve(dma, 0, 8 * PAGE), 0);
	ck_assert_int_eq(vdb_dma_reserve(dma, 7 * PAGE, 2 * PAGE), -1);
	check_error(EEXIST, "0x7000");
	ck_assert_int_eq(vdb_dma_reserve(dma, PAGE, 0), -1);
	check_error(EINVAL, "");
	ck_assert_int_eq(vdb_dma_reserve(dma, UINT64_MAX - PAGE + 1, 2 * PAGE), -1);
	check_error(EINVAL, "");
	ck_assert_uint_eq(map(memory, PAGE), 8 * PAGE);
	/* Nothing is mapped there. */
	ck_assert_int_eq(vdb_dma_unmap(dma, 0, 8 * PAGE), -1);
	check_error(ENOENT, "nothing was mapped");
	ck_assert_int_eq(vdb_dma_reserve(dma, 0, 8 * PAGE), 0);
	vdb_dma_close(dma);
}
END_TEST

START_TEST(kernel_unmaps_less)
{
	uint64_t iova;

	open_kind(_i);
	iova = map(memory, 4 * PAGE);
	kernel.unmap_only = PAGE;
	ck_assert_int_eq(vdb_dma_unmap(dma, iova, 4 * PAGE), -1);
	check_error(EIO, "only 0x1000 of 0x4000 bytes");
	/* The whole range stays reserved. */
	ck_assert_int_eq(vdb_dma_reserve(dma, iova, PAGE), -1);
	check_error(EEXIST, "");
	vdb_dma_close(dma);
}
END_TEST

START_TEST(kernel_does_not_map)
{
	open_kind(_i);
	kernel.map_errno = ENOSPC;
	check_map_fails(PAGE, ENOSPC, _i ? "no room" : "dma_entry_limit");
	kernel.map_errno = EFAULT;
	check_map_fails(PAGE, EFAULT, "not writable");
	kernel.map_errno = EIO;
	check_map_fails(PAGE, EIO, "Input/output error");
	kernel.map_errno = 0;
	/* None of these calls has reserved addresses. */
	ck_assert_int_eq(vdb_dma_reserve(dma, 0, GIB), 0);
	vdb_dma_close(dma);
}
END_TEST

/* An ordinary user with a limit of 64 KiB. */
static void limit_memory(void)
{
	memlock = 65536;
	if (!getuid()) {
		ck_assert_int_eq(setgid(65534), 0);
		ck_assert_int_eq(setuid(65534), 0);
	}
}

START_TEST(memlock_limit)
{
	char *area = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char need[64];

	ck_assert_ptr_ne(area, MAP_FAILED);
	limit_memory();
	open_kind(_i >= 1);
	kernel.per_process = _i == 2;
	kernel.map_errno = ENOMEM;
	if (_i != 1) {
		/* If the process is counted, what it has locked is known. */
		/* The sanitizer's mlock() does nothing. */
		ck_assert_int_eq(syscall(SYS_mlock, area, 3 * PAGE), 0);
		check_map_fails(16 * PAGE, EDQUOT, "RLIMIT_MEMLOCK is 65536 bytes, of which this process uses 12288");
		snprintf(need, sizeof(need), "at least %llu (ulimit -l %llu", 19 * PAGE, 19 * PAGE / 1024);
		check_map_fails(16 * PAGE, EDQUOT, need);
		/* A page is within the limit, so the reason is another one. */
		check_map_fails(PAGE, ENOMEM, "Cannot allocate memory");
	} else {
		kernel.map_errno = 0;
		map(memory, 2 * PAGE);
		kernel.map_errno = ENOMEM;
		check_map_fails(16 * PAGE, EDQUOT, "65536 bytes for all processes of user");
		snprintf(need, sizeof(need), "at least %llu (ulimit -l %llu", 18 * PAGE, 18 * PAGE / 1024);
		check_map_fails(16 * PAGE, EDQUOT, need);
		/* A page is within the limit, but other processes of the user can have pinned memory. */
		check_map_fails(PAGE, EDQUOT, "if others have memory pinned");
	}
	vdb_dma_close(dma);
}
END_TEST

START_TEST(limit_that_does_not_count)
{
	limit_memory();
	memlock = RLIM_INFINITY;
	open_kind(_i);
	kernel.map_errno = ENOMEM;
	check_map_fails(PAGE, ENOMEM, "Cannot allocate memory");
	vdb_dma_close(dma);
}
END_TEST

START_TEST(address_spaces_that_are_none)
{
	static const struct { int error, kind, as; const char *text; } cases[] = {
		{ ENOTTY, 0, EOPNOTSUPP, "no IOMMU" },
		{ EINVAL, 0, EINVAL, "has no IOMMU: add a group" },
		{ EBADF, 0, EBADF, "Bad file descriptor" },
		{ ENOENT, IOAS, ENOENT, "no IO address space 7" },
		{ ENOTTY, IOAS, ENOTTY, "not an iommufd" },
	};
	char error[VDB_ERROR_SIZE] = "";

	kernel.info_errno = cases[_i].error;
	errno = 0;
	ck_assert_ptr_null(vdb_dma_from_fd(99, cases[_i].kind, error));
	ck_assert_int_eq(errno, cases[_i].as);
	ck_assert_msg(strstr(error, cases[_i].text), "\"%s\"", error);
	ck_assert_ptr_null(vdb_dma_from_fd(99, cases[_i].kind, NULL));
}
END_TEST

/* A device without IOMMU would use the IOVA as a physical address. */
START_TEST(iommufd_without_iommu)
{
	open_kind(1);
	kernel.noiommu = true;
	check_map_fails(PAGE, EOPNOTSUPP, "no IOMMU");
	ck_assert_uint_eq(kernel.map_calls, 1);
	ck_assert_uint_eq(kernel.nr_mapped, 0);
	vdb_dma_close(dma);
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_is_allocated_and_revoked)
{
	struct vdb_slice *slice;
	uint64_t iova;

	open_kind(_i);
	slice = vdb_memory_alloc(dma, 3 * PAGE, 0);
	ck_assert_msg(slice, "%s", vdb_dma_error(dma));
	ck_assert_int_eq(vdb_slice_kind(slice), VDB_KIND_MEMORY);
	ck_assert_uint_eq(vdb_slice_length(slice), 3 * PAGE);
	iova = vdb_slice_iova(slice);
	ck_assert_uint_eq(kernel.nr_mapped, 1);
	ck_assert_uint_eq(kernel.mapped[0].first, iova);
	ck_assert_uint_eq(kernel.file_calls, _i);
	ck_assert_int_eq(vdb_dma_revoke(dma, slice), 0);
	ck_assert_uint_eq(kernel.nr_mapped, 0);
	/* After the revocation, the address can belong to another mapping. */
	ck_assert_int_eq(vdb_dma_reserve(dma, iova, 3 * PAGE), 0);
	ck_assert_int_eq(vdb_dma_revoke(dma, slice), -1);
	check_error(EBADFD, "revoked already");
	vdb_slice_free(slice);
	vdb_dma_close(dma);
}
END_TEST

/* A slice that says it is where another one is mapped does not end the other one. */
START_TEST(slice_that_lies_about_its_address)
{
	struct vdb_slice *slice, *other, *liar;
	uint64_t own;

	open_kind(_i);
	slice = vdb_memory_alloc(dma, PAGE, 0);
	other = vdb_memory_alloc(dma, PAGE, 0);
	ck_assert_ptr_nonnull(slice);
	ck_assert_ptr_nonnull(other);
	liar = vdb_memory_from_fd(dup(vdb_slice_fd(slice)), vdb_slice_iova(other), 0);
	ck_assert_ptr_nonnull(liar);
	ck_assert_int_eq(vdb_dma_revoke(dma, liar), -1);
	check_error(EINVAL, "other memory");
	ck_assert_uint_eq(kernel.nr_mapped, 2);
	vdb_slice_free(liar);
	/* The owner's own memory. */
	own = map(memory, PAGE);
	liar = vdb_memory_from_fd(dup(vdb_slice_fd(slice)), own, 0);
	ck_assert_ptr_nonnull(liar);
	ck_assert_int_eq(vdb_dma_revoke(dma, liar), -1);
	check_error(EINVAL, "other memory");
	ck_assert_int_eq(vdb_dma_unmap(dma, own, PAGE), 0);
	ck_assert_int_eq(vdb_dma_revoke(dma, other), 0);
	ck_assert_int_eq(vdb_dma_revoke(dma, slice), 0);
	vdb_slice_free(liar);
	vdb_slice_free(slice);
	vdb_slice_free(other);
	vdb_dma_close(dma);
}
END_TEST

START_TEST(kernel_without_map_file)
{
	open_kind(1);
	kernel.no_map_file = true;
	for (int i = 0; i < 2; i++) {
		struct vdb_slice *slice = vdb_memory_alloc(dma, PAGE, 0);

		ck_assert_ptr_nonnull(slice);
		vdb_slice_free(slice);
	}
	ck_assert_uint_eq(kernel.file_calls, 1);
	ck_assert_uint_eq(kernel.nr_mapped, 2);
	vdb_dma_close(dma);
}
END_TEST

START_TEST(memory_that_cannot_be)
{
	open_kind(_i);
	ck_assert_ptr_null(vdb_memory_alloc(dma, 0, 0));
	check_error(EINVAL, "whole pages");
	ck_assert_ptr_null(vdb_memory_alloc(dma, PAGE + 8, 0));
	check_error(EINVAL, "whole pages");
	ck_assert_ptr_null(vdb_memory_alloc(dma, PAGE, VDB_FLAG_WC));
	check_error(EINVAL, "flags");
	ck_assert_ptr_null(vdb_memory_alloc(dma, PAGE, VDB_FLAG_READ_ONLY | VDB_FLAG_DMA_READ_ONLY));
	check_error(EINVAL, "neither the device nor a process");
	ck_assert_uint_eq(kernel.map_calls, 0);
	kernel.map_errno = EIO;
	ck_assert_ptr_null(vdb_memory_alloc(dma, PAGE, 0));
	check_error(EIO, "");
	vdb_dma_close(dma);
}
END_TEST

/* If there are no huge pages, their allocation fails when they are pinned. */
START_TEST(small_pages_instead_of_huge_ones)
{
	struct vdb_slice *slice;

	open_kind(_i);
	/* For a container, the memory is first mapped into this process, which also fails. */
	kernel.map_errno_once = _i ? ENOMEM : 0;
	slice = vdb_memory_alloc(dma, 2 * MIB, VDB_FLAG_HUGE);
	ck_assert_msg(slice, "%s", vdb_dma_error(dma));
	ck_assert_uint_eq(vdb_slice_length(slice), 2 * MIB);
	ck_assert_uint_eq(vdb_slice_iova(slice) % (2 * MIB), 0);
	ck_assert_uint_eq(kernel.nr_mapped, 1);
	vdb_slice_free(slice);
	/* The length is not a multiple of a huge page. */
	slice = vdb_memory_alloc(dma, 2 * MIB + PAGE, VDB_FLAG_HUGE);
	ck_assert_ptr_nonnull(slice);
	ck_assert_uint_eq(vdb_slice_flags(slice), 0);
	vdb_slice_free(slice);
	vdb_dma_close(dma);
}
END_TEST

/* The next process has the fds and the numbers. */
START_TEST(owner_is_restarted)
{
	struct vdb_slice *slice;
	uint64_t iova;
	int fd;

	open_kind(_i);
	slice = vdb_memory_alloc(dma, PAGE, 0);
	ck_assert_ptr_nonnull(slice);
	iova = vdb_slice_iova(slice);
	fd = dup(vdb_slice_fd(slice));
	vdb_slice_free(slice);
	vdb_dma_close(dma);

	open_kind(_i);
	slice = vdb_memory_from_fd(fd, iova, 0);
	ck_assert_ptr_nonnull(slice);
	ck_assert_int_eq(vdb_dma_reserve(dma, iova, PAGE), 0);
	ck_assert_uint_ne(map(memory, PAGE), iova);
	ck_assert_uint_eq(kernel.nr_mapped, 2);
	ck_assert_int_eq(vdb_dma_revoke(dma, slice), 0);
	ck_assert_uint_eq(kernel.nr_mapped, 1);
	/* A memfd that is empty and not sealed is rejected. */
	vdb_slice_free(slice);
	slice = vdb_memory_from_fd(memfd_create("none", 0), iova, 0);
	ck_assert_ptr_null(slice);
	vdb_dma_close(dma);
}
END_TEST

static void map_foreign(uint64_t iova)
{
	ck_assert_works(kernel_map(iova, PAGE, false));
}

/* What an earlier process has mapped, and this one has not reserved. */
START_TEST(unknown_mappings_are_unmapped)
{
	uint64_t iova;

	open_kind(_i);
	ck_assert_works(vdb_dma_unmap_unknown(dma));
	map_foreign(PAGE);
	map_foreign(8 * PAGE);
	ck_assert_works(vdb_dma_unmap_unknown(dma));
	ck_assert_uint_eq(kernel.nr_mapped, 0);
	/* Before, between and after what is known; and what was in the way of a mapping. */
	map_foreign(2 * PAGE);
	map_foreign(4 * PAGE);
	map_foreign(6 * PAGE);
	map_foreign(7 * PAGE);
	map_foreign(9 * PAGE);
	ck_assert_works(vdb_dma_reserve(dma, 4 * PAGE, PAGE));
	ck_assert_works(vdb_dma_reserve(dma, 7 * PAGE, PAGE));
	ck_assert_works(vdb_dma_map(dma, memory, PAGE, 0, &iova));
	ck_assert_works(vdb_dma_unmap_unknown(dma));
	ck_assert_uint_eq(kernel.nr_mapped, 3);
	ck_assert_works(vdb_dma_unmap(dma, 4 * PAGE, PAGE));
	ck_assert_works(vdb_dma_unmap(dma, 7 * PAGE, PAGE));
	ck_assert_works(vdb_dma_unmap(dma, iova, PAGE));
	ck_assert_uint_eq(kernel.nr_mapped, 0);
}
END_TEST

/* The last address of all is known. */
START_TEST(nothing_after_the_last_address)
{
	open_kind(_i);
	ck_assert_works(vdb_dma_reserve(dma, UINT64_MAX - PAGE + 1, PAGE));
	map_foreign(PAGE);
	ck_assert_works(vdb_dma_unmap_unknown(dma));
	ck_assert_uint_eq(kernel.nr_mapped, 0);
}
END_TEST

START_TEST(revoked_before_the_restart)
{
	struct vdb_slice *slice;

	open_kind(_i);
	slice = vdb_memory_alloc(dma, PAGE, 0);
	ck_assert_ptr_nonnull(slice);
	kernel.nr_mapped = 0;
	ck_assert_int_eq(vdb_dma_revoke(dma, slice), 0);
	vdb_slice_free(slice);
	vdb_dma_close(dma);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("dma");
	TCase *tc = add_group(s, "mappings");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, mapped_and_unmapped, 0, 2);
	tcase_add_loop_test(tc, read_only_for_the_device, 0, 2);
	tcase_add_loop_test(tc, parts_of_pages, 0, 2);
	tcase_add_test(tc, ioas_without_a_device);
	tcase_add_loop_test(tc, alignment_for_huge_pages, 0, 2);
	tcase_add_loop_test(tc, alignment_is_only_a_wish, 0, 2);
	tcase_add_loop_test(tc, width_of_the_device, 0, 2);
	tcase_add_loop_test(tc, ranges_change, 0, 2);
	tcase_add_loop_test(tc, others_have_mapped, 0, 2);
	tcase_add_loop_test(tc, reserved_by_the_caller, 0, 2);
	tcase_add_loop_test(tc, kernel_unmaps_less, 0, 2);
	tcase_add_loop_test(tc, kernel_does_not_map, 0, 2);
	tcase_add_loop_test(tc, memlock_limit, 0, 3);
	tcase_add_loop_test(tc, limit_that_does_not_count, 0, 2);
	tcase_add_loop_test(tc, address_spaces_that_are_none, 0, 5);
	tcase_add_test(tc, iommufd_without_iommu);

	tc = add_group(s, "memory");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, memory_is_allocated_and_revoked, 0, 2);
	tcase_add_loop_test(tc, slice_that_lies_about_its_address, 0, 2);
	tcase_add_test(tc, kernel_without_map_file);
	tcase_add_loop_test(tc, memory_that_cannot_be, 0, 2);
	tcase_add_loop_test(tc, small_pages_instead_of_huge_ones, 0, 2);
	tcase_add_loop_test(tc, owner_is_restarted, 0, 2);
	tcase_add_loop_test(tc, revoked_before_the_restart, 0, 2);
	tcase_add_loop_test(tc, unknown_mappings_are_unmapped, 0, 2);
	tcase_add_loop_test(tc, nothing_after_the_last_address, 0, 2);
	return s;
}
