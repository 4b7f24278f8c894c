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
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "memory.h"
#include "pagetable.h"
#include "policy.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define PAGE	0x1000UL
#define MIB2	(2UL << 20)
#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define LENGTH	(MIB2 + 16 * PAGE)

#define MPOL_BIND		2
#define MPOL_MF_MOVE		(1 << 1)
#define MADV_SOFT_OFFLINE_	101	/* in no header of the C library */

enum kind { SLICE_NC, SLICE_WC, BAR, NR_KINDS };

static struct device mem;
static char *map;		/* one huge page where it can be, and small ones */
static enum memory_type type;

static char *map_aligned(int fd, off_t offset)
{
	char *room = mmap(NULL, LENGTH + MIB2, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)room + MIB2 - 1) & -MIB2);

	ck_assert_ptr_eq(mmap(at, LENGTH, RW, MAP_SHARED | MAP_FIXED, fd, offset),
			 at);
	return at;
}

static void touch(void)
{
	read32(map + 5 * PAGE);
	read32(map + MIB2 + 5 * PAGE);
}

static void map_kind(enum kind kind)
{
	int fd;

	device_open(&mem, "IVSHMEM");
	type = TYPE_UC_MINUS;
	if (kind == BAR) {
		map = map_aligned(mem.fd, (off_t)device_region(&mem, MEM).offset);
	} else {
		fd = slice_new(&mem, MEM, 0, LENGTH);
		if (kind == SLICE_WC) {
			ck_assert_works(slice_set_memattr(&mem, fd,
							  VFIO_DMABUF_MEMATTR_WC));
			type = TYPE_WC;
		}
		map = map_aligned(fd, 0);
	}
	write32(map + 5 * PAGE, 0xaaaa);
	write32(map + MIB2 + 5 * PAGE, 0xbbbb);
	ck_assert_uint_eq(page_entry(map).size, kind == BAR || slice_can_be_huge() ?
			  MIB2 : PAGE);
}

static void check(const char *after)
{
	ck_assert_msg(read32(map + 5 * PAGE) == 0xaaaa &&
		      read32(map + MIB2 + 5 * PAGE) == 0xbbbb,
		      "other bytes after %s", after);
	ck_assert_msg(page_entry(map + 5 * PAGE).type == type &&
		      page_entry(map + MIB2 + 5 * PAGE).type == type,
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

/* Its pages come back as writable as they were, of whatever size. */
START_TEST(clear_refs_of_a_gigabyte)
{
	const size_t gib = 1UL << 30;
	char *room = mmap(NULL, 2 * gib, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct device big;

	device_open(&big, "IVSHMEM_BIG");
	map = (char *)(((uintptr_t)room + gib - 1) & -gib);
	ck_assert_ptr_eq(mmap(map, gib, RW, MAP_SHARED | MAP_FIXED,
			      slice_new(&big, MEM, 0, gib), 0), map);
	write32(map + 8, 1);
	if (slice_can_be_huge())
		ck_assert_uint_eq(page_entry(map).size, gib);
	if (file_write("/proc/self/clear_refs", "4"))
		ck_assert_int_eq(errno, EINVAL);
	read32(map + 8);
	write32(map + 8, 2);
	ck_assert_uint_eq(read32(map + 8), 2);
	ck_assert_int_eq(page_entry(map).type, TYPE_UC_MINUS);
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
	};
	char what[32];
	size_t i;

	map_kind(_i);
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		/* Refused or not; in part, too, of a huge page. */
		madvise(map + MIB2 / 2, MIB2 / 2 + 8 * PAGE, all[i]);
		snprintf(what, sizeof(what), "advice %d to a part", all[i]);
		check(what);
		madvise(map, LENGTH, all[i]);
		snprintf(what, sizeof(what), "advice %d", all[i]);
		check(what);
	}
}
END_TEST

/* What frees pages of memory drops these, and the next access is a fault. */
START_TEST(dropped_pages_come_back)
{
	map_kind(_i);
	if (_i == BAR) {
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
	pages[2] = map + MIB2 + 5 * PAGE;
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
	tcase_add_loop_test(tc, clear_refs, 0, NR_KINDS);
	tcase_add_loop_test(tc, advice, 0, NR_KINDS);
	tcase_add_loop_test(tc, dropped_pages_come_back, 0, NR_KINDS);
	tcase_add_loop_test(tc, residence_and_locking, 0, NR_KINDS);
	tcase_add_loop_test(tc, migration, 0, NR_KINDS);
	tcase_add_loop_test(tc, reclaim_and_compaction, 0, NR_KINDS);
	tcase_add_loop_test(tc, fork_after_all_that, 0, NR_KINDS);

	tc = add_group(s, "gigabyte");
	tcase_add_unchecked_fixture(tc, policy_always, policy_restore);
	tcase_add_test(tc, clear_refs_of_a_gigabyte);
	return s;
}
