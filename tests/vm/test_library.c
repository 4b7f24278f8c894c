// SPDX-License-Identifier: MIT
/* The library against the real module: devices, slices, guard, events. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "device.h"
#include "edu.h"
#include "kernel.h"
#include "owner.h"
#include "page.h"
#include "pagetable.h"
#include "policy.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define GIB	(1UL << 30)
#define RW	(PROT_READ | PROT_WRITE)

/* ---- devices ---- */

/* start, end and flags of each BAR, as the kernel has them. */
START_TEST(bars_are_those_of_the_kernel)
{
	static const char *const names[] = { "EDU", "IVSHMEM", "E1000E", "NVME", "IGB" };
	char path[128];
	FILE *file;

	owner_open(names[_i]);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", lab_bdf(names[_i]));
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	for (unsigned int i = 0; i < VDB_BARS; i++) {
		unsigned long long start, end, flags;
		struct vdb_bar bar;

		ck_assert_int_eq(fscanf(file, "%llx %llx %llx", &start, &end, &flags), 3);
		ck_assert_works(vdb_device_bar(owner, i, &bar));
		ck_assert_uint_eq(bar.size, start ? end - start + 1 : 0);
		if (!bar.size)
			continue;
		/* IORESOURCE_MEM, _PREFETCH and _MEM_64 of <linux/ioport.h> */
		ck_assert_uint_eq(bar.memory, !!(flags & 0x200));
		ck_assert_uint_eq(bar.prefetchable, !!(flags & 0x2000));
		ck_assert_uint_eq(bar.is_64bit, !!(flags & 0x100000));
		/* One that is smaller than a page can share it with another device's. */
		if (bar.size >= PAGE || !bar.memory)
			ck_assert_uint_eq(bar.mappable, bar.memory);
	}
	fclose(file);
	ck_assert_fails(vdb_device_bar(owner, VDB_BARS, &(struct vdb_bar){ 0 }), EINVAL);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
	char text[VDB_ERROR_SIZE] = "";

	errno = 0;
	ck_assert_ptr_null(vdb_device_open("nonsense", NULL, text));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "\"nonsense\""));
	ck_assert_ptr_null(vdb_device_open("0000:7f:00.0", NULL, NULL));
	ck_assert_int_eq(errno, ENOENT);
	for (int i = 0; i < 5; i++) {
		static const char *const tokens[] = { "", "8b3a1e60", "8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e1",
			"8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e111", "8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e1g" };

		ck_assert_ptr_null(vdb_device_open(lab_bdf("EDU"), tokens[i], NULL));
		ck_assert_int_eq(errno, EINVAL);
	}
	owner_open_edu();
	ck_assert_ptr_null(vdb_device_open(lab_bdf("EDU"), NULL, NULL));
	ck_assert_int_eq(errno, EBUSY);
	ck_assert_ptr_null(vdb_device_from_fd(-1));
	ck_assert_int_eq(errno, EBADF);
	ck_assert_ptr_null(vdb_device_from_fd(vdb_device_iommu_fd(owner)));
	ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

/*
 * In place of the C library's, which is what the library calls: makes it take the
 * way of kernels without cdevs.
 */
static bool no_iommufd;

int access(const char *path, int mode)
{
	if (no_iommufd && !strcmp(path, "/dev/iommu")) {
		errno = ENOENT;
		return -1;
	}
	return syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

START_TEST(opened_through_the_group)
{
	no_iommufd = true;
	owner_open("HOT0");
	for (int i = 0; i < 2; i++) {
		errno = 0;
		ck_assert_ptr_null(vdb_device_open(lab_bdf(i ? "HOT1" : "HOT0"), NULL, NULL));
		ck_assert_int_eq(errno, EBUSY);
	}
	owner_map(owner_export(2, 0, PAGE, 0), PROT_READ);
}
END_TEST

/* Opens edu as an ordinary user that is allowed to open these nodes. 0 or errno, and why. */
static int open_as_user(const char *const *may, char text[VDB_ERROR_SIZE])
{
	struct { int error; char text[VDB_ERROR_SIZE]; } report = { 0 };
	int ends[2], status;
	pid_t pid;

	ck_assert_works(pipe(ends));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		for (int i = 0; may[i]; i++)
			if (chown(may[i], 1000, 1000))
				_exit(1);
		if (setgid(1000) || setuid(1000))
			_exit(1);
		owner = vdb_device_open(lab_bdf("EDU"), NULL, report.text);
		report.error = owner ? 0 : errno;
		/* It must be complete. */
		if (owner && !vdb_slice_export(owner, 0, &(struct vdb_range){ 0, PAGE }, 1, 0))
			report.error = -1;
		_exit(write(ends[1], &report, sizeof(report)) != sizeof(report));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (int i = 0; may[i]; i++)
		ck_assert_works(chown(may[i], 0, 0));
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(read(ends[0], &report, sizeof(report)), sizeof(report));
	strcpy(text, report.text);
	return report.error;
}

/* The nodes of the edu: its cdev and its group. */
static void find_nodes(char cdev[64], char group[64])
{
	char link[300], path[64];
	ssize_t length;

	owner_open_edu();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vdb_device_fd(owner));
	length = readlink(path, link, sizeof(link) - 1);
	ck_assert_works(length);
	link[length] = '\0';
	snprintf(cdev, 64, "%.60s", link);
	vdb_device_close(owner);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", lab_bdf("EDU"));
	length = readlink(path, link, sizeof(link) - 1);
	ck_assert_works(length);
	link[length] = '\0';
	snprintf(group, 64, "/dev/vfio/%.40s", strrchr(link, '/') + 1);
}

START_TEST(user_opens_what_he_may)
{
	char cdev[64], group[64], text[VDB_ERROR_SIZE];
	struct stat container;

	find_nodes(cdev, group);
	ck_assert_works(stat("/dev/vfio/vfio", &container));
	ck_assert_uint_eq(container.st_mode & 0666, 0666);
	ck_assert_int_eq(open_as_user((const char *[]){ cdev, "/dev/iommu", NULL }, text), 0);
	ck_assert_int_eq(open_as_user((const char *[]){ group, NULL }, text), 0);
	/* The cdev is of no use without an iommufd. */
	ck_assert_int_eq(open_as_user((const char *[]){ group, cdev, NULL }, text), 0);

	ck_assert_int_eq(open_as_user((const char *[]){ NULL }, text), EACCES);
	ck_assert_msg(strstr(text, cdev) && strstr(text, group), "%s", text);
	ck_assert_int_eq(open_as_user((const char *[]){ cdev, NULL }, text), EACCES);
	ck_assert_msg(strstr(text, "/dev/iommu") && strstr(text, group), "%s", text);
}
END_TEST

/* A driver of the kernel's has the other function. */
START_TEST(group_that_is_not_viable)
{
	int errors[2];

	driver_bind(lab_bdf("HOT1"), "uio_pci_generic");
	for (int i = 0; i < 2; i++) {
		no_iommufd = i;
		errno = 0;
		owner = vdb_device_open(lab_bdf("HOT0"), NULL, NULL);
		errors[i] = owner ? 0 : errno;
		vdb_device_close(owner);
	}
	driver_rebind(lab_bdf("HOT1"));
	ck_assert_int_eq(errors[0], EPERM);
	ck_assert_int_eq(errors[1], EPERM);
	owner_open("HOT0");
}
END_TEST

/* Closing must leave nothing open: it can be opened again. */
START_TEST(closing_closes_everything)
{
	int before = dup(0);

	close(before);
	for (int i = 0; i < 3; i++) {
		owner_open_edu();
		ck_assert_uint_eq(vdb_device_capabilities(owner),
				  VDB_CAP_EXPORT | VDB_CAP_WC | VDB_CAP_EVENTS | VDB_CAP_LIST);
		vdb_device_close(owner);
		ck_assert_int_eq(dup(0), before);
		close(before);
	}
	vdb_device_close(NULL);
}
END_TEST

START_TEST(fd_of_the_caller)
{
	struct device raw;
	struct vdb_slice *slice;

	device_open(&raw, "EDU");
	owner = vdb_device_from_fd(raw.fd);
	ck_assert_ptr_nonnull(owner);
	slice = owner_export(0, 0, PAGE, 0);
	ck_assert_uint_eq(vdb_read32(owner_map(slice, PROT_READ)), EDU_ID_VALUE);
	vdb_device_close(owner);
	ck_assert_uint_eq(device_bar_size(&raw, 0), 1 << 20);
}
END_TEST

START_TEST(cdev_and_iommufd)
{
	char link[300], path[64];
	ssize_t length;

	owner_open_edu();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vdb_device_fd(owner));
	length = readlink(path, link, sizeof(link) - 1);
	ck_assert_works(length);
	link[length] = '\0';
	ck_assert_msg(strstr(link, "/dev/vfio/devices/"), "%s", link);
	ck_assert_uint_eq(vdb_read32(owner_map(owner_export(0, 0, PAGE, 0), PROT_READ)), EDU_ID_VALUE);
}
END_TEST

static bool count_buffer(const struct vdb_buffer *buffer, void *data)
{
	unsigned int *nr = data;

	ck_assert_uint_ne(buffer->id, 0);
	++*nr;
	return true;
}

START_TEST(stock_driver_offers_nothing)
{
	const struct vdb_range range = { 0, PAGE };
	struct vdb_buffer buffer;

	ck_assert_int_eq(system("modprobe vfio-pci"), 0);
	driver_bind(lab_bdf("EDU2"), "vfio-pci");
	owner_open("EDU2");
	ck_assert_uint_eq(vdb_device_capabilities(owner), 0);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_export(owner, 0, &range, 1, 0));
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert_fails(vdb_device_export(owner, 0, &range, 1, 0, &buffer), ENOTTY);
	ck_assert_fails(vdb_device_list(owner, count_buffer, NULL), ENOTTY);
	ck_assert_fails(vdb_device_revoke_id(owner, 1), ENOTTY);
	ck_assert_fails(vdb_device_watch(owner), ENOTTY);
	vdb_device_close(owner);
	driver_rebind(lab_bdf("EDU2"));
}
END_TEST

/*
 * The kernel's own exports, which cannot be mapped: they do not become slices, and no
 * fds are left.
 */
START_TEST(core_export_offers_nothing)
{
	const struct vdb_range range = { 0, PAGE };
	struct vdb_buffer buffer;
	int error[4], before, after;

	owner_open_edu();
	ck_assert_works(sysfs_write(lab_bdf("EDU"), "vfio_dmabuf/core_export", "1"));
	before = dup(0);
	close(before);
	for (int i = 0; i < 2; i++) {
		errno = 0;
		error[i] = vdb_slice_export(owner, 0, &range, 1, i ? VDB_FLAG_WC : 0) ? 0 : errno;
		error[2 + i] = vdb_device_export(owner, 0, &range, 1, i ? VDB_FLAG_WC : 0, &buffer) < 0 ? errno : 0;
	}
	after = dup(0);
	ck_assert_works(sysfs_write(lab_bdf("EDU"), "vfio_dmabuf/core_export", "0"));
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(error[i], EOPNOTSUPP);
	ck_assert_int_eq(after, before);
	ck_assert_uint_eq(vdb_read32(owner_map(owner_export(0, 0, PAGE, 0), PROT_READ)), EDU_ID_VALUE);
}
END_TEST

/* ---- slices ---- */

START_TEST(slice_knows_what_it_is)
{
	const struct vdb_range ranges[] = { { 3 * PAGE, PAGE }, { PAGE, 2 * PAGE } };
	struct vdb_slice *slice = vdb_slice_export(owner, 0, ranges, 2, VDB_FLAG_READ_ONLY);

	ck_assert_ptr_nonnull(slice);
	ck_assert_uint_eq(vdb_slice_bar(slice), 0);
	ck_assert_uint_eq(vdb_slice_offset(slice), 3 * PAGE);
	ck_assert_uint_eq(vdb_slice_length(slice), 3 * PAGE);
	ck_assert_uint_eq(vdb_slice_flags(slice), VDB_FLAG_READ_ONLY);
	ck_assert_str_eq(vdb_slice_bdf(slice), lab_bdf("EDU"));
	ck_assert_int_eq(vdb_slice_event_fd(slice), -1);
	ck_assert_fails(vdb_slice_state(slice, NULL), ENODATA);
	ck_assert_int_eq(fcntl(vdb_slice_fd(slice), F_GETFD), FD_CLOEXEC);

	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(slice, 0, 0, RW));
	ck_assert_int_eq(errno, EACCES);
	owner_map(slice, PROT_READ);
	vdb_slice_free(slice);
}
END_TEST

START_TEST(exported_without_an_object)
{
	const struct vdb_range ranges[] = { { 3 * PAGE, PAGE }, { PAGE, 2 * PAGE } };
	const unsigned int flags = VDB_FLAG_READ_ONLY | VDB_FLAG_WC;
	struct vdb_buffer buffer;
	struct vdb_slice *slice;
	int fd = vdb_device_export(owner, 0, ranges, 2, flags, &buffer);

	ck_assert_works(fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(buffer.offset, 3 * PAGE);
	ck_assert_uint_eq(buffer.length, 3 * PAGE);
	ck_assert_uint_eq(buffer.nr_ranges, 2);
	ck_assert_uint_eq(buffer.flags, flags);
	slice = vdb_slice_from_fd(fd, -1, NULL, 0, buffer.offset, flags);
	ck_assert_ptr_nonnull(slice);
	ck_assert_uint_eq(vdb_slice_id(owner, slice), buffer.id);
	ck_assert_works(vdb_device_revoke_id(owner, buffer.id));
	vdb_slice_free(slice);
}
END_TEST

START_TEST(bad_exports)
{
	const struct {
		unsigned int bar;
		struct vdb_range range;
		unsigned int flags;
		int error;
	} cases[] = {
		{ 6, { 0, PAGE }, 0, EINVAL },
		{ 0, { 0, PAGE }, 4, EINVAL },
		{ 0, { 0, 0 }, 0, EINVAL },
		{ 0, { 1, PAGE }, 0, EINVAL },
		{ 0, { 0, 1 << 21 }, 0, EINVAL },
		{ 1, { 0, PAGE }, 0, ENODEV },
	};

	struct vdb_buffer buffer;

	errno = 0;
	ck_assert_ptr_null(vdb_slice_export(owner, cases[_i].bar, &cases[_i].range, 1,
					    cases[_i].flags));
	ck_assert_int_eq(errno, cases[_i].error);
	ck_assert_fails(vdb_device_export(owner, cases[_i].bar, &cases[_i].range, 1,
					  cases[_i].flags, &buffer), cases[_i].error);
	ck_assert_ptr_null(vdb_slice_export(owner, 0, &cases[_i].range, 0, 0));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(bad_mappings)
{
	const struct {
		uint64_t offset;
		size_t length;
	} cases[] = {
		{ 2 * PAGE, 0 }, { 0, 3 * PAGE }, { PAGE, 2 * PAGE }, { 1, PAGE },
		{ 0, 1 }, { UINT64_MAX - PAGE + 1, PAGE },
	};
	struct vdb_slice *slice = owner_export(0, 0, 2 * PAGE, 0);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		ck_assert_ptr_null(vdb_slice_map(slice, cases[i].offset, cases[i].length, RW));
		ck_assert_int_eq(errno, EINVAL);
	}
}
END_TEST

static bool is_mapped(void *page)
{
	return !msync(page, PAGE, MS_ASYNC);
}

START_TEST(part_of_a_slice)
{
	struct vdb_slice *slice = owner_export(0, 0, 2 * PAGE, 0);
	char *second = vdb_slice_map(slice, PAGE, 0, RW);
	char *first = vdb_slice_map(slice, 0, PAGE, RW);

	ck_assert(first && second);
	ck_assert_uint_eq(vdb_read32(first), EDU_ID_VALUE);
	ck_assert_works(vdb_slice_unmap(slice, first, 0, PAGE));
	ck_assert(!is_mapped(first));
	ck_assert_fails(vdb_slice_unmap(slice, second, 2 * PAGE, 0), EINVAL);
	ck_assert_fails(vdb_slice_unmap(slice, second, PAGE, 2 * PAGE), EINVAL);
	ck_assert(is_mapped(second));
	/* All that follows, as when it was mapped. */
	ck_assert_works(vdb_slice_unmap(slice, second, PAGE, 0));
	ck_assert(!is_mapped(second));
	first = vdb_slice_map(slice, 0, 0, RW);
	ck_assert(is_mapped(first) && is_mapped(first + PAGE));
	ck_assert_works(vdb_slice_unmap(slice, first, 0, 0));
	ck_assert(!is_mapped(first) && !is_mapped(first + PAGE));
	/* A mapping outlives its slice. */
	first = vdb_slice_map(slice, 0, 0, RW);
	vdb_slice_free(slice);
	ck_assert_uint_eq(vdb_read32(first), EDU_ID_VALUE);
	ck_assert_works(munmap(first, 2 * PAGE));
}
END_TEST

/* Of 8 MiB that begin in the middle of a block, all whole blocks are huge. */
START_TEST(huge_pages_fit)
{
	struct vdb_slice *slice = owner_export(2, 5 * PAGE, 4 * PMD, 0);
	char *address = owner_map(slice, RW);

	ck_assert_uint_eq((uintptr_t)address % PMD, 5 * PAGE);
	trace_start();
	for (size_t at = 0; at < 4 * PMD; at += PAGE)
		(void)vdb_read32(address + at);
	/* A head and a tail of small pages, and three huge ones. */
	ck_assert_uint_eq(trace_faults(lab_bdf("IVSHMEM"), 2), 5);
}
END_TEST

/* Of what begins in the middle of a block of 1 GiB, the whole one is one page. */
START_TEST(gigabyte_page_fits)
{
	/* Where pages are larger than 4 KiB, the BAR is too small for the largest. */
	const size_t align = PUD > GIB ? PMD : GIB;
	struct vdb_slice *slice;
	char *address;

	owner_open("IVSHMEM_BIG");
	slice = owner_export(2, 5 * PAGE, 2 * GIB - 5 * PAGE, 0);
	address = owner_map(slice, RW);
	ck_assert_uint_eq((uintptr_t)address % align, 5 * PAGE);
	address += GIB - 5 * PAGE;
	(void)vdb_read32(address);
	if (slice_can_be_huge() && !no_gigabyte_pages())
		ck_assert_uint_eq(page_entry(address).size, GIB);
	address = vdb_slice_map(slice, 2 * PAGE, GIB, RW);
	ck_assert_ptr_nonnull(address);
	ck_assert_uint_eq((uintptr_t)address % align, 7 * PAGE);
}
END_TEST

/*
 * In place of the C library's, which is what the library calls.  Before it can do
 * anything else, another thread takes what became free.
 */
static void *intruder;
static bool intrude;

void *mmap64(void *address, size_t length, int prot, int flags, int fd, off64_t offset)
{
	void *map = (void *)syscall(SYS_mmap, address, length, prot, flags, fd, offset);
	int error = errno;

	if (map == MAP_FAILED && intrude) {
		intruder = (void *)syscall(SYS_mmap, address, length, PROT_READ,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		errno = error;
	}
	return map;
}

START_TEST(failed_map_unmaps_nothing_of_others)
{
	struct vdb_slice *slice = owner_export(2, 0, 2 * PMD, 0);
	unsigned char resident;

	ck_assert_works(vdb_slice_revoke(owner, slice));
	intrude = true;
	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(slice, 0, 0, RW));
	ck_assert_int_eq(errno, ENODEV);
	intrude = false;
	ck_assert(intruder && intruder != MAP_FAILED);
	ck_assert_works(mincore(intruder, PAGE, &resident));
}
END_TEST

START_TEST(write_combining)
{
	struct vdb_slice *wc = owner_export(2, 0, PAGE, VDB_FLAG_WC), *nc = owner_export(2, 0, PAGE, 0);
	char *wc_map = owner_map(wc, RW), *nc_map = owner_map(nc, RW);

	ck_assert_uint_eq(vdb_slice_flags(wc), VDB_FLAG_WC);
	vdb_write32(wc_map, 0x12345678);
	vdb_wc_flush();
	ck_assert_uint_eq(vdb_read32(nc_map), 0x12345678);
	ck_assert_int_eq(page_entry(wc_map).type, TYPE_WC);
	ck_assert_int_eq(page_entry(nc_map).type, TYPE_UC_MINUS);
}
END_TEST

START_TEST(accessors_have_their_width)
{
	char *memory = owner_map(owner_export(2, 0, PAGE, 0), RW);
	uint8_t byte;
	uint16_t word;
	uint32_t dword;
	uint64_t qword;

	vdb_write64(memory, 0x1122334455667788);
	ck_assert_uint_eq(vdb_read8(memory + 7), 0x11);
	ck_assert_uint_eq(vdb_read16(memory + 4), 0x3344);
	ck_assert_uint_eq(vdb_read32(memory), 0x55667788);
	vdb_write8(memory, 0xaa);
	vdb_write16(memory + 2, 0xbbbb);
	vdb_write32(memory + 4, 0xcccccccc);
	ck_assert_uint_eq(vdb_read64(memory), 0xccccccccbbbb77aa);

	ck_assert_works(vdb_try_write64(memory, 0x8877665544332211));
	ck_assert_works(vdb_try_read8(memory + 7, &byte));
	ck_assert_works(vdb_try_read16(memory + 4, &word));
	ck_assert_works(vdb_try_read32(memory, &dword));
	ck_assert_uint_eq(byte, 0x88);
	ck_assert_uint_eq(word, 0x6655);
	ck_assert_uint_eq(dword, 0x44332211);
	ck_assert_works(vdb_try_write8(memory, 0xaa));
	ck_assert_works(vdb_try_write16(memory + 2, 0xbbbb));
	ck_assert_works(vdb_try_write32(memory + 4, 0xcccccccc));
	ck_assert_works(vdb_try_read64(memory, &qword));
	ck_assert_uint_eq(qword, 0xccccccccbbbb22aa);
}
END_TEST

/* ---- guard ---- */

static void check_try_fails(char *address)
{
	uint8_t byte;
	uint16_t word;
	uint32_t dword;
	uint64_t qword;

	ck_assert_fails(vdb_try_read8(address, &byte), EFAULT);
	ck_assert_fails(vdb_try_read16(address, &word), EFAULT);
	ck_assert_fails(vdb_try_read32(address, &dword), EFAULT);
	ck_assert_fails(vdb_try_read64(address, &qword), EFAULT);
	ck_assert_fails(vdb_try_write8(address, 0), EFAULT);
	ck_assert_fails(vdb_try_write16(address, 0), EFAULT);
	ck_assert_fails(vdb_try_write32(address, 0), EFAULT);
	ck_assert_fails(vdb_try_write64(address, 0), EFAULT);
}

START_TEST(revoked_slice_is_an_error)
{
	struct vdb_slice *slice = owner_export(0, 0, PAGE, 0);
	char *address = owner_map(slice, RW);
	uint32_t value;

	ck_assert_works(vdb_guard_enable());
	ck_assert_works(vdb_guard_enable());
	ck_assert_works(vdb_try_read32(address, &value));
	ck_assert_uint_eq(value, EDU_ID_VALUE);
	ck_assert_works(vdb_slice_revoke(owner, slice));
	check_try_fails(address);
	ck_assert_fails(vdb_slice_revoke(owner, slice), EBADFD);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(slice, 0, 0, RW));
	ck_assert_int_eq(errno, ENODEV);
}
END_TEST

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	(void)number;
	if (!vdb_guard_handle(info, context))
		_exit(42);
}

static int status_of_child(void (*fn)(char *), char *address)
{
	int status;
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid) {
		fn(address);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* As the manual page says for programs with a handler of their own. */
static void own_handler(char *address)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	uint32_t value;

	sigaction(SIGBUS, &action, NULL);
	if (!vdb_try_read32(address, &value) || errno != EFAULT)
		_exit(1);
	vdb_read32(address);
}

static void plain_access(char *address)
{
	vdb_guard_enable();
	vdb_read32(address);
}

static void count_to_43(int number)
{
	(void)number;
	_exit(43);
}

static void former_handler(char *address)
{
	uint32_t value;

	signal(SIGBUS, count_to_43);
	vdb_guard_enable();
	if (!vdb_try_read32(address, &value) || errno != EFAULT)
		_exit(1);
	vdb_read32(address);
}

START_TEST(foreign_faults_are_not_ours)
{
	struct vdb_slice *slice = owner_export(0, 0, PAGE, 0);
	char *address = owner_map(slice, RW);
	int status;

	ck_assert_works(vdb_slice_revoke(owner, slice));
	status = status_of_child(own_handler, address);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	status = status_of_child(former_handler, address);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 43);
	status = status_of_child(plain_access, address);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}
END_TEST

#define THREADS	3

static void *read_until_revoked(void *address)
{
	uint32_t value;
	long reads = 0;

	while (!vdb_try_read32(address, &value)) {
		if (value != EDU_ID_VALUE)
			return (void *)-1L;
		reads++;
	}
	return (void *)reads;
}

START_TEST(threads_are_distinguished)
{
	struct vdb_slice *slices[THREADS];
	pthread_t threads[THREADS];
	void *reads;

	ck_assert_works(vdb_guard_enable());
	for (int i = 0; i < THREADS; i++) {
		slices[i] = owner_export(0, 0, PAGE, 0);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_until_revoked,
						owner_map(slices[i], RW)), 0);
	}
	for (int i = THREADS - 1; i >= 0; i--) {
		ck_assert_works(vdb_slice_revoke(owner, slices[i]));
		ck_assert_int_eq(pthread_join(threads[i], &reads), 0);
		ck_assert_int_ge((long)reads, 0);
	}
}
END_TEST

static void *reset_often(void *unused)
{
	(void)unused;
	for (int i = 0; i < 10; i++)
		ck_assert_works(vdb_device_reset(owner));
	return NULL;
}

START_TEST(reset_is_waited_for)
{
	char *address = owner_map(owner_export(0, 0, PAGE, 0), RW);
	uint32_t expected = vdb_read32(address + 8), value;
	pthread_t thread;

	ck_assert_works(vdb_guard_enable());
	ck_assert_int_eq(pthread_create(&thread, NULL, reset_often, NULL), 0);
	do {
		ck_assert_works(vdb_try_read32(address + 8, &value));
		ck_assert_uint_eq(value, expected);
	} while (pthread_tryjoin_np(thread, NULL));
}
END_TEST

/* ---- events ---- */

START_TEST(state_follows_the_device)
{
	struct vdb_slice *slice = owner_export_watched();
	struct device raw = { .fd = vdb_device_fd(owner) };
	uint64_t before, changes;
	int revents;

	vdb_slice_state(slice, &before);
	device_set_memory(&raw, false);
	ck_assert(event_readable(slice, &revents));
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_SUSPENDED);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_SUSPENDED);
	device_set_memory(&raw, true);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_LIVE);
	ck_assert_works(vdb_device_reset(owner));
	ck_assert_int_eq(vdb_slice_state(slice, &changes), VDB_STATE_LIVE);
	ck_assert_uint_eq(changes, before + 4);
	ck_assert_works(sysfs_write(vdb_slice_bdf(slice), "reset", "1"));
	ck_assert_int_eq(vdb_slice_state(slice, &changes), VDB_STATE_LIVE);
	ck_assert_uint_eq(changes, before + 6);
	ck_assert(!event_readable(slice, &revents));
}
END_TEST

START_TEST(revocation_hangs_up)
{
	struct vdb_slice *slice = owner_export_watched();
	int revents;

	ck_assert_works(vdb_slice_revoke(owner, slice));
	ck_assert(event_readable(slice, &revents));
	ck_assert_int_eq(revents, POLLIN | POLLHUP);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	ck_assert(event_readable(slice, &revents));
}
END_TEST

START_TEST(closing_the_device_revokes)
{
	struct vdb_slice *slice = owner_export_watched();

	vdb_device_close(owner);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	vdb_slice_free(slice);
}
END_TEST

/* ---- buffers by their ids ---- */

static bool find_buffer(const struct vdb_buffer *buffer, void *data)
{
	struct vdb_buffer *wanted = data;

	if (buffer->id != wanted->id)
		return true;
	*wanted = *buffer;
	return false;
}

/* Up to the last member: padding does not matter. */
#define BUFFER_SIZE	(offsetof(struct vdb_buffer, dma_maps) + sizeof(unsigned int))

/* A program that was compiled with a later version, and an impossible one. */
START_TEST(structs_of_other_versions)
{
	const struct vdb_range range = { 0, PAGE };
	struct { struct vdb_buffer it; unsigned char later[16]; } buffer;
	struct { struct vdb_bar it; unsigned char later[16]; } bar;
	int fd;

	for (int i = 0; i < 2; i++) {
		memset(&buffer, 0xaa, sizeof(buffer));
		fd = vdb_device_export_sized(owner, MEM, &range, 1, 0, &buffer.it, sizeof(buffer.it) + 8);
		ck_assert_works(fd);
		ck_assert_uint_eq(buffer.it.length, PAGE);
		ck_assert(!buffer.later[0] && !buffer.later[7] && buffer.later[8] == 0xaa);
		memset(buffer.later, 0xaa, sizeof(buffer.later));
		ck_assert_works(vdb_device_buffer_sized(owner, buffer.it.id, &buffer.it, sizeof(buffer.it) + 8));
		ck_assert(!buffer.later[0] && !buffer.later[7] && buffer.later[8] == 0xaa);
		close(fd);
	}
	memset(&bar, 0xaa, sizeof(bar));
	ck_assert_works(vdb_device_bar_sized(owner, MEM, &bar.it, sizeof(bar.it) + 8));
	ck_assert(bar.it.mappable && !bar.later[0] && !bar.later[7] && bar.later[8] == 0xaa);
	ck_assert_fails(vdb_device_bar_sized(owner, MEM, &bar.it, 8), EINVAL);
	ck_assert_fails(vdb_device_buffer_sized(owner, 1, &buffer.it, 8), EINVAL);
	ck_assert_fails(vdb_device_export_sized(owner, MEM, &range, 1, 0, &buffer.it, 8), EINVAL);
}
END_TEST

START_TEST(buffers_are_described)
{
	const struct vdb_range ranges[] = {
		{ 3 * PAGE, PAGE }, { 4 * PAGE, PAGE }, { 9 * PAGE, 2 * PAGE },
	};
	struct vdb_slice *slice = vdb_slice_export(owner, MEM, ranges, 3, VDB_FLAG_READ_ONLY | VDB_FLAG_WC);
	struct vdb_buffer listed = { 0 }, buffer;
	struct vdb_range found[8];
	struct stat status;

	ck_assert_ptr_nonnull(slice);
	listed.id = vdb_slice_id(owner, slice);
	ck_assert_uint_ne(listed.id, 0);
	owner_map(owner_export(MEM, 0, PAGE, 0), PROT_READ);
	ck_assert_works(fstat(vdb_slice_fd(slice), &status));
	ck_assert_int_eq(vdb_device_list(owner, find_buffer, &listed), 1);
	ck_assert_uint_eq(listed.inode, status.st_ino);
	ck_assert_uint_eq(listed.bar, MEM);
	ck_assert_uint_eq(listed.offset, 3 * PAGE);
	ck_assert_uint_eq(listed.length, 4 * PAGE);
	ck_assert_uint_eq(listed.flags, VDB_FLAG_READ_ONLY | VDB_FLAG_WC);
	ck_assert_uint_eq(listed.nr_ranges, 2);
	ck_assert_uint_eq(listed.mappings, 0);
	ck_assert_int_eq(listed.state, VDB_STATE_LIVE);
	memset(&buffer, 0xff, sizeof(buffer));
	ck_assert_works(vdb_device_buffer(owner, listed.id, &buffer));
	ck_assert_mem_eq(&buffer, &listed, BUFFER_SIZE);

	ck_assert_int_eq(vdb_device_buffer_ranges(owner, listed.id, 0, found, 8), 2);
	ck_assert_uint_eq(found[0].offset, 3 * PAGE);
	ck_assert_uint_eq(found[0].length, 2 * PAGE);
	ck_assert_int_eq(vdb_device_buffer_ranges(owner, listed.id, 1, found, 8), 1);
	ck_assert_uint_eq(found[0].offset, 9 * PAGE);
	ck_assert_int_eq(vdb_device_buffer_ranges(owner, listed.id, 2, found, SIZE_MAX), 0);

	vdb_slice_free(slice);
	ck_assert_fails(vdb_device_buffer(owner, listed.id, &buffer), ENOENT);
	ck_assert_fails(vdb_device_buffer_ranges(owner, listed.id, 0, found, 8), ENOENT);
	ck_assert_fails(vdb_device_watch_id(owner, listed.id), ENOENT);
	ck_assert_fails(vdb_device_watch_id(owner, 0), ENOENT);
	ck_assert_fails(vdb_device_revoke_id(owner, listed.id), ENOENT);
	ck_assert_fails(vdb_device_revoke_id(owner, 0), ENOENT);
}
END_TEST

/* Each revokes itself while it is listed: nothing is left out because of that. */
static bool revoke_listed(const struct vdb_buffer *buffer, void *data)
{
	unsigned int *nr = data;

	if (buffer->flags & VDB_FLAG_BAR_MAPPING)
		return true;
	ck_assert_works(vdb_device_revoke_id(owner, buffer->id));
	++*nr;
	return true;
}

START_TEST(list_can_be_revoked_as_it_comes)
{
	struct device raw = { .fd = vdb_device_fd(owner) };
	void *bar = device_map(&raw, MEM, 0, PAGE), *maps[5];
	unsigned int nr = 0;

	ck_assert_works(vdb_guard_enable());
	for (int i = 0; i < 5; i++) {
		maps[i] = owner_map(owner_export(MEM, i * PAGE, PAGE, 0), PROT_READ);
		ck_assert_works(vdb_try_read32(maps[i], &(uint32_t){ 0 }));
	}
	ck_assert_int_eq(vdb_device_list(owner, revoke_listed, &nr), 0);
	ck_assert_uint_eq(nr, 5);
	for (int i = 0; i < 5; i++)
		ck_assert_fails(vdb_try_read32(maps[i], &(uint32_t){ 0 }), EFAULT);
	ck_assert_works(vdb_try_read32(bar, &(uint32_t){ 0 }));
}
END_TEST

START_TEST(slice_of_another_device)
{
	struct vdb_device *ivshmem = owner;
	struct vdb_slice *slice;

	owner_open_edu();
	slice = owner_export(0, 0, PAGE, 0);
	ck_assert_fails(vdb_slice_revoke(ivshmem, slice), ENODEV);
	ck_assert_fails(vdb_slice_watch(ivshmem, slice), ENODEV);
	ck_assert_int_eq(vdb_slice_event_fd(slice), -1);
	errno = 0;
	ck_assert_uint_eq(vdb_slice_id(ivshmem, slice), 0);
	ck_assert_int_eq(errno, ENODEV);
	ck_assert_fails(vdb_device_revoke_id(ivshmem, vdb_slice_id(owner, slice)), ENOENT);
	ck_assert_works(vdb_slice_revoke(owner, slice));
}
END_TEST

START_TEST(device_and_buffer_are_watched)
{
	struct device raw = { .fd = vdb_device_fd(owner) };
	uint64_t id = vdb_slice_id(owner, owner_export(MEM, 0, PAGE, 0)), before = 0, changes = 0;
	int device = vdb_device_watch(owner), buffer = vdb_device_watch_id(owner, id);
	struct pollfd p = { .fd = device, .events = POLLIN };

	ck_assert_works(device);
	ck_assert_works(buffer);
	ck_assert_int_eq(fcntl(device, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(vdb_event_read(device, &before), VDB_STATE_LIVE);
	ck_assert_int_eq(vdb_event_read(buffer, NULL), VDB_STATE_LIVE);
	ck_assert_fails(vdb_event_read(device, NULL), EAGAIN);
	ck_assert_fails(vdb_event_read(buffer, NULL), EAGAIN);
	device_set_memory(&raw, false);
	ck_assert_int_eq(vdb_event_read(device, &changes), VDB_STATE_SUSPENDED);
	ck_assert_uint_eq(changes, before + 1);
	ck_assert_int_eq(vdb_event_read(buffer, NULL), VDB_STATE_SUSPENDED);
	device_set_memory(&raw, true);
	ck_assert_int_eq(vdb_event_read(device, NULL), VDB_STATE_LIVE);
	ck_assert_works(vdb_device_revoke_id(owner, id));
	ck_assert_int_eq(vdb_event_read(buffer, NULL), VDB_STATE_REVOKED);
	ck_assert_int_eq(vdb_event_read(buffer, NULL), VDB_STATE_REVOKED);
	ck_assert_fails(vdb_event_read(device, NULL), EAGAIN);
	vdb_device_close(owner);
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	ck_assert_int_ne(p.revents & POLLHUP, 0);
	ck_assert_int_eq(vdb_event_read(device, NULL), VDB_STATE_REVOKED);
	ck_assert_int_eq(vdb_event_read(device, NULL), VDB_STATE_REVOKED);
	/* Not an event fd. */
	ck_assert_fails(vdb_event_read(-1, NULL), EBADF);
	ck_assert_fails(vdb_event_read(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), NULL), EPROTO);
}
END_TEST

Suite *suite(void)
{
	const char *no_cdev = device_cdev_missing();
	const char *no_uio = system("modprobe -q uio_pci_generic") ?
		"the kernel has no uio_pci_generic" : NULL;
	Suite *s = suite_create("library");
	TCase *tc = add_group(s, "devices");

	pagetable_init();

	tcase_add_loop_test(tc, bars_are_those_of_the_kernel, 0, 5);
	tcase_add_test(tc, what_cannot_be_opened);
	tcase_add_test(tc, closing_closes_everything);
	tcase_add_test(tc, fd_of_the_caller);
	add_test_or_skip(tc, cdev_and_iommufd, no_cdev);
	tcase_add_test(tc, opened_through_the_group);
	add_test_or_skip(tc, user_opens_what_he_may, no_cdev);
	add_test_or_skip(tc, group_that_is_not_viable, no_uio);
	tcase_add_test(tc, stock_driver_offers_nothing);
	add_test_or_skip(tc, core_export_offers_nothing, kernel_is(7, 0) ? NULL :
			 "vfio-pci-core exports no DMABUFs before Linux 7.0");

	tc = add_group(s, "slices");
	tcase_add_checked_fixture(tc, owner_open_edu, NULL);
	tcase_add_test(tc, slice_knows_what_it_is);
	tcase_add_test(tc, exported_without_an_object);
	tcase_add_loop_test(tc, bad_exports, 0, 6);
	tcase_add_test(tc, bad_mappings);
	tcase_add_test(tc, part_of_a_slice);

	tc = add_group(s, "memory");
	tcase_add_checked_fixture(tc, owner_open_ivshmem, NULL);
	add_test_or_skip(tc, huge_pages_fit, slice_can_be_huge() ? NULL :
			 "this kernel has no huge pages for slices");
	tcase_add_test(tc, failed_map_unmaps_nothing_of_others);
	tcase_add_test(tc, write_combining);
	tcase_add_test(tc, accessors_have_their_width);

	tc = add_group(s, "gigabyte");
	tcase_add_unchecked_fixture(tc, policy_always, policy_restore);
	tcase_add_test(tc, gigabyte_page_fits);

	tc = add_group(s, "buffers");
	tcase_add_checked_fixture(tc, owner_open_ivshmem, NULL);
	tcase_add_test(tc, structs_of_other_versions);
	tcase_add_test(tc, buffers_are_described);
	tcase_add_test(tc, list_can_be_revoked_as_it_comes);
	tcase_add_test(tc, slice_of_another_device);
	tcase_add_test(tc, device_and_buffer_are_watched);

	tc = add_group(s, "guard");
	tcase_add_checked_fixture(tc, owner_open_edu, NULL);
	tcase_add_test(tc, revoked_slice_is_an_error);
	tcase_add_test(tc, foreign_faults_are_not_ours);
	tcase_add_test(tc, threads_are_distinguished);

	tc = add_group(s, "reset");
	tcase_add_checked_fixture(tc, owner_open_nvme, NULL);
	tcase_add_test(tc, reset_is_waited_for);
	tcase_add_test(tc, state_follows_the_device);

	tc = add_group(s, "events");
	tcase_add_checked_fixture(tc, owner_open_edu, NULL);
	tcase_add_test(tc, revocation_hangs_up);
	tcase_add_test(tc, closing_the_device_revokes);
	return s;
}
