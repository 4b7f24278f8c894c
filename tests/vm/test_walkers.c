// SPDX-License-Identifier: MIT
/*
 * What walks page tables meets entries of no page: files of /proc, advice,
 * migration, locking.  It may refuse or pass over them; afterwards the mapping
 * shows the same bytes with the same memory type, and the kernel has not
 * complained (which the end of the boot looks after).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "memory.h"
#include "page.h"
#include "pagetable.h"
#include "policy.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define LENGTH	(PMD + 16 * PAGE)

#define MPOL_BIND		2
#define MPOL_MF_MOVE		(1 << 1)
#define MPOL_F_NODE		(1 << 0)
#define MPOL_F_ADDR		(1 << 1)
/* In no header of the C library, or only in newer ones. */
#define MADV_SOFT_OFFLINE_	101
#define MADV_GUARD_INSTALL_	102
#define MADV_GUARD_REMOVE_	103
#define PR_SET_MEMORY_MERGE_	67

/* The small ones lie where no huge page fits. */
enum kind { SLICE_NC, SLICE_WC, SLICE_SMALL, BAR, BAR_SMALL, NR_KINDS };

static struct device mem;
static char *map;		/* one huge page where it can be, and small ones */
static bool huge;
static enum memory_type type;

/* Free addresses, a number of bytes after a multiple of 2 MiB. */
static char *reserve(size_t behind)
{
	char *room = mmap(NULL, LENGTH + 2 * PMD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(room, MAP_FAILED);
	return (char *)(((uintptr_t)room + PMD - 1) & -PMD) + behind;
}

static char *map_at(char *at, int fd, off_t offset)
{
	ck_assert_ptr_eq(mmap(at, LENGTH, RW, MAP_SHARED | MAP_FIXED, fd, offset),
			 at);
	return at;
}

static void touch(void)
{
	read32(map + 5 * PAGE);
	read32(map + PMD + 5 * PAGE);
}

static bool is_slice(enum kind kind)
{
	return kind != BAR && kind != BAR_SMALL;
}

static void map_kind(enum kind kind)
{
	bool small = kind == SLICE_SMALL || kind == BAR_SMALL;
	char *at = reserve(small ? PAGE : 0);
	int fd;

	device_open(&mem, "IVSHMEM");
	type = TYPE_UC_MINUS;
	if (!is_slice(kind)) {
		map = map_at(at, mem.fd, (off_t)device_region(&mem, MEM).offset);
	} else {
		fd = slice_new(&mem, MEM, 0, LENGTH);
		if (kind == SLICE_WC) {
			ck_assert_works(slice_set_memattr(&mem, fd,
							  VFIO_DMABUF_MEMATTR_WC));
			type = TYPE_WC;
		}
		map = map_at(at, fd, 0);
	}
	huge = !small && mapping_can_be_huge(is_slice(kind));
	write32(map + 5 * PAGE, 0xaaaa);
	write32(map + PMD + 5 * PAGE, 0xbbbb);
	ck_assert_uint_eq(page_entry(map + 5 * PAGE).size, huge ? PMD : PAGE);
}

static void check(const char *after)
{
	ck_assert_msg(read32(map + 5 * PAGE) == 0xaaaa &&
		      read32(map + PMD + 5 * PAGE) == 0xbbbb,
		      "other bytes after %s", after);
	ck_assert_msg(page_entry(map + 5 * PAGE).type == type &&
		      page_entry(map + PMD + 5 * PAGE).type == type,
		      "another memory type after %s", after);
	write32(map + 6 * PAGE, 1);
}

/* Reads a file of /proc to its end. */
static void read_all(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_works(fd);
	while ((n = read(fd, text, sizeof(text))) > 0)
		;
	ck_assert_int_eq(n, 0);
	close(fd);
}

START_TEST(files_of_proc)
{
	static const char *const files[] = {
		"/proc/self/smaps", "/proc/self/smaps_rollup",
		"/proc/self/numa_maps", "/proc/self/maps",
	};
	size_t i;

	map_kind(_i);
	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		/* Some kernels are made without NUMA. */
		if (access(files[i], R_OK))
			continue;
		read_all(files[i]);
		check(files[i]);
	}
}
END_TEST

#define PM_PRESENT	(1ULL << 63)
#define PM_SWAPPED	(1ULL << 62)
#define PM_FRAME	((1ULL << 55) - 1)

START_TEST(pagemap)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entries[LENGTH / PAGE];
	size_t i;

	map_kind(_i);
	ck_assert_works(fd);
	ck_assert_int_eq(pread(fd, entries, sizeof(entries),
			       (off_t)((uintptr_t)map / PAGE * 8)),
			 sizeof(entries));
	for (i = 0; i < LENGTH / PAGE; i++) {
		struct page_entry entry = page_entry(map + i * PAGE);

		/* Whether such pages are shown differs; a wrong one never is. */
		ck_assert(!(entries[i] & PM_SWAPPED));
		if (entries[i] & PM_PRESENT && entries[i] & PM_FRAME)
			ck_assert_uint_eq((entries[i] & PM_FRAME) * PAGE,
					  entry.frame + i * PAGE % entry.size);
	}
	check("pagemap");
}
END_TEST

/* The same, asked for by ranges. */
START_TEST(pagemap_scan)
{
	const uint64_t all = PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN | PAGE_IS_FILE |
			     PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO |
			     PAGE_IS_HUGE | PAGE_IS_SOFT_DIRTY;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	struct page_region regions[16];
	struct pm_scan_arg scan = {
		.size = sizeof(scan), .vec = (uintptr_t)regions, .vec_len = 16,
		.category_anyof_mask = all, .return_mask = all,
	};
	long n, i;

	map_kind(_i);
	ck_assert_works(fd);
	scan.start = (uintptr_t)map;
	scan.end = (uintptr_t)map + LENGTH;
	n = ioctl(fd, PAGEMAP_SCAN, &scan);
	ck_assert_works(n);
	for (i = 0; i < n; i++) {
		ck_assert(!(regions[i].categories & (PAGE_IS_SWAPPED | PAGE_IS_PFNZERO)));
		ck_assert(huge || !(regions[i].categories & PAGE_IS_HUGE));
	}
	check("PAGEMAP_SCAN");
}
END_TEST

/*
 * Some kernels let writes to any mapping be watched.  What is protected for that,
 * huge pages among it, becomes writable at the next write.
 */
START_TEST(userfaultfd)
{
	struct uffdio_api api = {
		.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC,
	};
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect protect = {
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	int fd = open("/proc/self/pagemap", O_RDONLY);

	map_kind(_i);
	/* Not every kernel has it. */
	if (uffd < 0) {
		ck_assert_int_eq(errno, ENOSYS);
		return;
	}
	reg.range.start = (uintptr_t)map;
	reg.range.len = LENGTH;
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	/* Nor with write protection, which it is configured with. */
	if (ioctl(uffd, UFFDIO_API, &api)) {
		ck_assert_int_eq(errno, EINVAL);
		api = (struct uffdio_api){ .api = UFFD_API };
		ck_assert_works(ioctl(uffd, UFFDIO_API, &api));
	}
	ck_assert_fails(ioctl(uffd, UFFDIO_REGISTER, &reg), EINVAL);
	check("registering for missing pages");

	reg.mode = UFFDIO_REGISTER_MODE_WP;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		ck_assert_int_eq(errno, EINVAL);
		check("registering for writes");
		return;
	}
	check("registering for writes");

	protect.range = reg.range;
	ck_assert_works(ioctl(uffd, UFFDIO_WRITEPROTECT, &protect));
	ck_assert(!page_entry(map + 6 * PAGE).writable);
	check("write protection");
	ck_assert(page_entry(map + 6 * PAGE).writable);

	scan.start = (uintptr_t)map;
	scan.end = (uintptr_t)map + LENGTH;
	ck_assert_works(ioctl(fd, PAGEMAP_SCAN, &scan));
	check("PAGEMAP_SCAN with write protection");
	read_all("/proc/self/smaps");

	/* Half a huge page, and back. */
	protect.range.len = PMD / 2;
	ck_assert_works(ioctl(uffd, UFFDIO_WRITEPROTECT, &protect));
	check("write protection of a part");
	protect.mode = 0;
	ck_assert_works(ioctl(uffd, UFFDIO_WRITEPROTECT, &protect));
	check("the end of write protection");
	ck_assert_works(ioctl(uffd, UFFDIO_UNREGISTER, &reg.range));
	check("unregistering");
	close(uffd);
}
END_TEST

START_TEST(clear_refs)
{
	static const char *const values[] = { "1", "2", "3", "4", "5" };
	size_t i;

	map_kind(_i);
	for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
		/* 4 is soft-dirty tracking, which not every kernel has. */
		if (file_write("/proc/self/clear_refs", values[i]))
			ck_assert_int_eq(errno, EINVAL);
		touch();
		check("clear_refs");
		read_all("/proc/self/smaps");
	}
}
END_TEST

#define GIB	(1UL << 30)

static struct device big;

/* A slice, or a mapping of the BAR; whether it must be a single page. */
static bool map_gigabyte(bool slice)
{
	char *room = mmap(NULL, 2 * GIB, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	off_t offset = 0;
	int fd;

	device_open(&big, "IVSHMEM_BIG");
	fd = slice ? slice_new(&big, MEM, 0, GIB) : big.fd;
	if (!slice)
		offset = device_region(&big, MEM).offset;
	map = (char *)(((uintptr_t)room + GIB - 1) & -GIB);
	ck_assert_ptr_eq(mmap(map, GIB, RW, MAP_SHARED | MAP_FIXED, fd, offset), map);
	return !no_gigabyte_pages() && mapping_can_be_huge(slice);
}

static void check_gigabyte(bool one_page, bool writable)
{
	struct page_entry entry = page_entry(map);

	ck_assert_int_eq(entry.type, TYPE_UC_MINUS);
	ck_assert_int_eq(entry.writable, writable);
	if (one_page)
		ck_assert_uint_eq(entry.size, GIB);
}

/* Its pages are writable again, of any size. */
START_TEST(clear_refs_of_a_gigabyte)
{
	bool one_page = map_gigabyte(true);

	write32(map + 8, 1);
	check_gigabyte(one_page, true);
	if (file_write("/proc/self/clear_refs", "4"))
		ck_assert_int_eq(errno, EINVAL);
	read32(map + 8);
	write32(map + 8, 2);
	ck_assert_uint_eq(read32(map + 8), 2);
	ck_assert_int_eq(page_entry(map).type, TYPE_UC_MINUS);
}
END_TEST

/* The loop variable is whether it is a slice. */
START_TEST(protection_of_a_gigabyte)
{
	bool one_page = map_gigabyte(_i);

	write32(map + 8, 1);
	check_gigabyte(one_page, true);
	ck_assert_works(mprotect(map, GIB, PROT_READ));
	ck_assert_uint_eq(read32(map + 8), 1);
	ck_assert_int_eq(try_write32(map + 8, 2), SIGSEGV);
	check_gigabyte(one_page, false);
	/* Faulted in, with nothing there. */
	device_set_memory(&big, false);
	device_set_memory(&big, true);
	ck_assert_uint_eq(read32(map + 8), 1);
	ck_assert_int_eq(try_write32(map + 8, 2), SIGSEGV);
	check_gigabyte(one_page, false);

	ck_assert_works(mprotect(map, GIB, RW));
	write32(map + 8, 3);
	check_gigabyte(one_page, true);
	/* Not PROT_NONE: docs/kernel-bugs.md. */
}
END_TEST

START_TEST(advice)
{
	static const int all[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_MERGEABLE,
		MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DODUMP,
		MADV_DONTDUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD,
		MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
		MADV_COLLAPSE, MADV_HWPOISON, MADV_SOFT_OFFLINE_,
		MADV_DONTNEED_LOCKED, MADV_GUARD_INSTALL_, MADV_GUARD_REMOVE_,
	};
	char what[32];
	size_t i;

	map_kind(_i);
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		/* Refused or not; in part, too, of a huge page. */
		madvise(map + PMD / 2, PMD / 2 + 8 * PAGE, all[i]);
		snprintf(what, sizeof(what), "advice %d to a part", all[i]);
		check(what);
		madvise(map, LENGTH, all[i]);
		snprintf(what, sizeof(what), "advice %d", all[i]);
		check(what);
	}
}
END_TEST

START_TEST(advice_by_another_process)
{
	static const int all[] = {
		MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_COLLAPSE,
	};
	struct iovec part = { .iov_len = PMD / 2 + 8 * PAGE };
	struct iovec whole = { .iov_len = LENGTH };
	int pid = (int)syscall(SYS_pidfd_open, getpid(), 0);
	size_t i;

	map_kind(_i);
	ck_assert_works(pid);
	part.iov_base = map + PMD / 2;
	whole.iov_base = map;
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		syscall(SYS_process_madvise, pid, &part, 1, all[i], 0);
		syscall(SYS_process_madvise, pid, &whole, 1, all[i], 0);
		check("process_madvise");
	}
	/* All of the process is looked at for equal pages. */
	prctl(PR_SET_MEMORY_MERGE_, 1, 0, 0, 0);
	check("KSM");
	prctl(PR_SET_MEMORY_MERGE_, 0, 0, 0, 0);
}
END_TEST

/* What frees pages of memory drops these, and the next access is a fault. */
START_TEST(dropped_pages_come_back)
{
	map_kind(_i);
	if (!is_slice(_i)) {
		ck_assert_fails(madvise(map, LENGTH, MADV_DONTNEED), EINVAL);
	} else {
		ck_assert_works(madvise(map, LENGTH, MADV_DONTNEED));
		ck_assert_int_eq(page_entry(map).type, TYPE_NONE);
	}
	check("MADV_DONTNEED");
}
END_TEST

START_TEST(residence_and_locking)
{
	unsigned char resident[LENGTH / PAGE];

	map_kind(_i);
	mincore(map, LENGTH, resident);
	check("mincore");
	mlock(map, LENGTH);
	check("mlock");
	mlock2(map, LENGTH, MLOCK_ONFAULT);
	munlock(map, LENGTH);
	check("munlock");
	mlockall(MCL_CURRENT | MCL_FUTURE);
	munlockall();
	check("mlockall");
	msync(map, LENGTH, MS_SYNC);
	msync(map, LENGTH, MS_INVALIDATE);
	check("msync");
}
END_TEST

START_TEST(migration)
{
	void *pages[3];
	int nodes[3] = { 0 }, status[3];
	unsigned long mask = 1;

	map_kind(_i);
	pages[0] = map;
	pages[1] = map + 5 * PAGE;
	pages[2] = map + PMD + 5 * PAGE;
	syscall(SYS_move_pages, 0, 3, pages, NULL, status, 0);
	check("move_pages, asking");
	syscall(SYS_move_pages, 0, 3, pages, nodes, status, MPOL_MF_MOVE);
	check("move_pages");
	syscall(SYS_mbind, map, LENGTH, MPOL_BIND, &mask, 8, MPOL_MF_MOVE);
	check("mbind");
	syscall(SYS_migrate_pages, 0, 8, &mask, &mask);
	check("migrate_pages");
}
END_TEST

/* Calls that take references to pages get none. */
START_TEST(references)
{
	uint32_t value[2] = { 0 };
	struct iovec here = { value, sizeof(value) };
	struct iovec there = { .iov_len = sizeof(value) };
	int fd = open("/proc/self/mem", O_RDWR), ends[2], mode;
	ssize_t n;

	map_kind(_i);
	ck_assert_works(fd);
	ck_assert_works(pipe(ends));
	there.iov_base = map + 5 * PAGE;
	ck_assert_fails(vmsplice(ends[1], &there, 1, 0), EFAULT);
	check("vmsplice");
	ck_assert_fails(process_vm_readv(getpid(), &here, 1, &there, 1, 0), EFAULT);
	ck_assert_fails(process_vm_writev(getpid(), &here, 1, &there, 1, 0), EFAULT);
	check("process_vm_readv");
	ck_assert_fails(syscall(SYS_futex, map + 5 * PAGE, FUTEX_WAKE, 1), EFAULT);
	check("futex");
	syscall(SYS_get_mempolicy, &mode, NULL, 0, map + 5 * PAGE,
		MPOL_F_NODE | MPOL_F_ADDR);
	check("get_mempolicy");

	/* A debugger may see the bytes or not, but no others. */
	n = pread(fd, value, 4, (off_t)(uintptr_t)map + (off_t)(5 * PAGE));
	ck_assert(n == -1 || (n == 4 && value[0] == 0xaaaa));
	check("/proc/self/mem");
	/* Copies need no reference. */
	ck_assert_int_eq(write(ends[1], map + 5 * PAGE, 4), 4);
	ck_assert_int_eq(read(ends[0], value, 4), 4);
	ck_assert_uint_eq(value[0], 0xaaaa);
	check("write");
}
END_TEST

START_TEST(protection)
{
	uint32_t value;

	map_kind(_i);
	ck_assert_works(mprotect(map, LENGTH, PROT_READ));
	ck_assert_int_eq(try_write32(map + 6 * PAGE, 1), SIGSEGV);
	touch();
	ck_assert_int_eq(try_write32(map + 6 * PAGE, 1), SIGSEGV);
	ck_assert_works(mprotect(map, LENGTH, RW));
	check("mprotect");
	ck_assert_works(mprotect(map, LENGTH, PROT_NONE));
	ck_assert_int_eq(try_read32(map + 5 * PAGE, &value), SIGSEGV);
	ck_assert_works(mprotect(map, LENGTH, RW));
	check("mprotect to nothing");
	/* Half a huge page. */
	ck_assert_works(mprotect(map, PMD / 2, PROT_READ));
	ck_assert_int_eq(try_write32(map + 6 * PAGE, 1), SIGSEGV);
	write32(map + PMD / 2, 1);
	ck_assert_works(mprotect(map, PMD / 2, RW));
	check("mprotect of a part");
}
END_TEST

START_TEST(moving)
{
	uint32_t value;
	char *old, *new;

	map_kind(_i);
	/* To where a huge page fits as well, and then to where it does not. */
	old = map;
	new = reserve((uintptr_t)map % PMD);
	map = mremap(old, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, new);
	ck_assert_ptr_eq(map, new);
	ck_assert_int_eq(try_read32(old + 5 * PAGE, &value), SIGSEGV);
	check("mremap");
	ck_assert_uint_eq(page_entry(map + 5 * PAGE).size, huge ? PMD : PAGE);

	new = reserve(3 * PAGE);
	map = mremap(map, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, new);
	ck_assert_ptr_eq(map, new);
	check("mremap to another alignment");
	ck_assert_uint_eq(page_entry(map + 5 * PAGE).size, PAGE);

	/* Neither can grow. */
	ck_assert_fails(mremap(map, LENGTH, LENGTH + PAGE, MREMAP_MAYMOVE), EFAULT);
	check("mremap to more");
}
END_TEST

/* Holes in a huge page; its other parts come back at their next use. */
START_TEST(unmapping_in_parts)
{
	uint32_t value;

	map_kind(_i);
	ck_assert_works(munmap(map + PMD / 2, PAGE));
	ck_assert_works(munmap(map, PAGE));
	ck_assert_int_eq(try_read32(map + PMD / 2, &value), SIGSEGV);
	check("munmap of a part");
}
END_TEST

/* Devices are not read for it. */
START_TEST(core_dump)
{
	static const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	static const char pattern[] = "/proc/sys/kernel/core_pattern";
	char old[128];
	long length;
	int status;
	pid_t pid;

	map_kind(_i);
	length = file_read(pattern, old, sizeof(old));
	ck_assert_int_gt(length, 0);
	ck_assert_works(file_write(pattern, "/tmp/walkers.core"));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		if (setrlimit(RLIMIT_CORE, &unlimited) ||
		    file_write("/proc/self/coredump_filter", "0xff"))
			_exit(1);
		/* The core file holds the private memory only. */
		touch();
		madvise(map, LENGTH, MADV_DODUMP);
		abort();
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_works(file_write(pattern, old));
	ck_assert(WIFSIGNALED(status) && WCOREDUMP(status));
	ck_assert_works(unlink("/tmp/walkers.core"));
	check("a core dump");
}
END_TEST

/* Memory pressure looks at every page that is mapped somewhere. */
START_TEST(reclaim_and_compaction)
{
	map_kind(_i);
	if (access("/proc/sys/vm/compact_memory", W_OK) == 0)
		ck_assert_works(file_write("/proc/sys/vm/compact_memory", "1"));
	check("compaction");
	ck_assert_works(file_write("/proc/sys/vm/drop_caches", "3"));
	check("drop_caches");
}
END_TEST

START_TEST(fork_after_all_that)
{
	pid_t pid;
	int status;

	map_kind(_i);
	file_write("/proc/self/clear_refs", "4");
	madvise(map, LENGTH, MADV_COLD);
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		touch();
		_exit(page_entry(map).type != type);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check("fork");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("walkers");
	TCase *tc = add_group(s, "each_kind");

	/* The loop variable is the kind. */
	pagetable_init();
	tcase_add_loop_test(tc, files_of_proc, 0, NR_KINDS);
	tcase_add_loop_test(tc, pagemap, 0, NR_KINDS);
	tcase_add_loop_test(tc, pagemap_scan, 0, NR_KINDS);
	tcase_add_loop_test(tc, userfaultfd, 0, NR_KINDS);
	tcase_add_loop_test(tc, clear_refs, 0, NR_KINDS);
	tcase_add_loop_test(tc, advice, 0, NR_KINDS);
	tcase_add_loop_test(tc, advice_by_another_process, 0, NR_KINDS);
	tcase_add_loop_test(tc, dropped_pages_come_back, 0, NR_KINDS);
	tcase_add_loop_test(tc, residence_and_locking, 0, NR_KINDS);
	tcase_add_loop_test(tc, migration, 0, NR_KINDS);
	tcase_add_loop_test(tc, references, 0, NR_KINDS);
	tcase_add_loop_test(tc, protection, 0, NR_KINDS);
	tcase_add_loop_test(tc, moving, 0, NR_KINDS);
	tcase_add_loop_test(tc, unmapping_in_parts, 0, NR_KINDS);
	tcase_add_loop_test(tc, core_dump, 0, NR_KINDS);
	tcase_add_loop_test(tc, reclaim_and_compaction, 0, NR_KINDS);
	tcase_add_loop_test(tc, fork_after_all_that, 0, NR_KINDS);

	tc = add_group(s, "gigabyte");
	tcase_add_unchecked_fixture(tc, policy_always, policy_restore);
	tcase_add_test(tc, clear_refs_of_a_gigabyte);
	tcase_add_loop_test(tc, protection_of_a_gigabyte, 0, 2);
	return s;
}
