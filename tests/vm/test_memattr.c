// SPDX-License-Identifier: MIT
/*
 * Memory attributes, as they stand in the page tables that the CPU uses: of
 * slices by the feature, of BAR mappings by the device's setting.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "device.h"
#include "kernel.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "pagetable.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain, prefetchable memory */
#define RW	(PROT_READ | PROT_WRITE)
#define NC	VFIO_DMABUF_MEMATTR_NC
#define WC	VFIO_DMABUF_MEMATTR_WC
#define SETTING	"vfio_dmabuf/write_combine"

static struct device mem;

static void setup(void)
{
	device_open(&mem, "IVSHMEM");
}

static int new_slice(uint64_t offset, uint64_t length, uint32_t memattr)
{
	int fd = slice_new(&mem, MEM, offset, length);

	ck_assert_works(slice_set_memattr(&mem, fd, memattr));
	return fd;
}

static char *map_aligned(int fd, uint64_t offset, size_t length)
{
	char *room = mmap(NULL, PMD + length, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)room + PMD - 1) & -PMD);

	ck_assert_ptr_eq(mmap(at, length, RW, MAP_SHARED | MAP_FIXED, fd,
			      (off_t)offset), at);
	return at;
}

static void check_entry(struct page_entry entry, enum memory_type type,
			uint64_t size)
{
	ck_assert_int_eq(entry.type, type);
	ck_assert_uint_eq(entry.size, size);
}

static void check_small(const void *address, enum memory_type type)
{
	check_entry(page_entry(address), type, PAGE);
}

START_TEST(probe_knows_the_feature)
{
	const uint32_t feature = VFIO_DEVICE_FEATURE_PROBE |
				 VFIO_DMABUF_FEATURE_MEMATTR;

	ck_assert_works(device_feature(&mem, feature | VFIO_DEVICE_FEATURE_SET));
	ck_assert_fails(device_feature(&mem, feature | VFIO_DEVICE_FEATURE_GET),
			EINVAL);
}
END_TEST

START_TEST(uncached_is_the_default)
{
	char *slice = slice_map(slice_new(&mem, MEM, 0, PAGE), 0, PAGE);
	char *bar = device_map(&mem, MEM, 0, PAGE);

	check_entry(page_entry(slice), TYPE_NONE, page_entry(slice).size);
	read32(slice);
	read32(bar);
	check_small(slice, TYPE_UC_MINUS);
	check_small(bar, TYPE_UC_MINUS);
}
END_TEST

START_TEST(both_side_by_side_in_two_processes)
{
	struct client *first = client_start(CLIENT_NOBODY);
	struct client *second = client_start(CLIENT_NOBODY);
	struct page_entry nc_entry, wc_entry;
	long nc = client_mmap(first, new_slice(0, 4 * PAGE, NC), 0, 4 * PAGE, RW);
	long wc = client_mmap(second, new_slice(0, 4 * PAGE, WC), 0, 4 * PAGE, RW);
	int page;

	client_write32(first, nc + 8, 0x1111);
	client_write32(second, wc + 12, 0x2222);
	ck_assert_uint_eq(client_read32(second, wc + 8), 0x1111);
	ck_assert_uint_eq(client_read32(first, nc + 12), 0x2222);

	/* One fault brings in all four, unless a block of addresses ends among them. */
	for (page = 0; page < 4; page++) {
		client_read32(first, nc + page * PAGE);
		client_read32(second, wc + page * PAGE);
		nc_entry = client_page_entry(first, nc + page * PAGE);
		wc_entry = client_page_entry(second, wc + page * PAGE);
		check_entry(nc_entry, TYPE_UC_MINUS, PAGE);
		check_entry(wc_entry, TYPE_WC, PAGE);
		ck_assert_uint_eq(nc_entry.frame, wc_entry.frame);
	}
	client_end(first);
	client_end(second);
}
END_TEST

/* The same two in one process, where they share page tables' pages. */
START_TEST(both_side_by_side_in_one_process)
{
	char *wc = slice_map(new_slice(0, PAGE, WC), 0, PAGE);
	char *nc = slice_map(new_slice(0, PAGE, NC), 0, PAGE);
	char *bar = device_map(&mem, MEM, 0, PAGE);

	read32(bar);
	read32(wc);
	read32(nc);
	check_small(wc, TYPE_WC);
	check_small(nc, TYPE_UC_MINUS);
	check_small(bar, TYPE_UC_MINUS);
}
END_TEST

START_TEST(huge_page_has_the_type)
{
	char *wc = map_aligned(new_slice(PMD, 2 * PMD, WC), 0, 2 * PMD);
	char *nc = map_aligned(new_slice(PMD, 2 * PMD, NC), 0, 2 * PMD);
	uint64_t size = slice_can_be_huge() ? PMD : PAGE;

	write32(wc + PMD + 8, 0x77);
	ck_assert_uint_eq(read32(nc + PMD + 8), 0x77);
	check_entry(page_entry(wc + PMD), TYPE_WC, size);
	check_entry(page_entry(nc + PMD), TYPE_UC_MINUS, size);
	/* The other one is not there yet. */
	ck_assert_int_eq(page_entry(wc).type, TYPE_NONE);
	read32(wc);
	check_entry(page_entry(wc), TYPE_WC, size);
}
END_TEST

START_TEST(each_run_of_a_slice_has_the_type)
{
	const struct vfio_region_dma_range ranges[] = {
		{ 64 * PAGE, PAGE }, { 2 * PAGE, 2 * PAGE }, { 0, PAGE },
	};
	int fd = slice_export(&mem, MEM, O_RDONLY, ranges, 3), page;
	char *map;

	ck_assert_works(fd);
	ck_assert_works(slice_set_memattr(&mem, fd, WC));
	map = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	for (page = 0; page < 4; page++) {
		read32(map + page * PAGE);
		check_small(map + page * PAGE, TYPE_WC);
		ck_assert(!page_entry(map + page * PAGE).writable);
	}
}
END_TEST

/* Of pages that are there, and of those that come later. */
START_TEST(protection_and_type_are_independent)
{
	char *map = slice_map(new_slice(0, 4 * PAGE, WC), 0, 4 * PAGE);
	char *later = slice_map(new_slice(0, 4 * PAGE, WC), 0, 4 * PAGE);

	write32(map, 1);
	ck_assert_works(mprotect(map, 4 * PAGE, PROT_READ));
	ck_assert_works(mprotect(later, 4 * PAGE, PROT_READ));
	read32(map);
	read32(later);
	check_small(map, TYPE_WC);
	check_small(later, TYPE_WC);
	ck_assert(!page_entry(map).writable);
	ck_assert_int_eq(try_write32(map, 2), SIGSEGV);

	ck_assert_works(mprotect(map, PAGE, RW));
	ck_assert_works(mprotect(later + PAGE, PAGE, RW));
	write32(map, 2);
	write32(later + PAGE, 2);
	/* If another page table begins there, no fault has inserted it yet. */
	read32(later + 2 * PAGE);
	check_small(map, TYPE_WC);
	check_small(later + PAGE, TYPE_WC);
	check_small(later + 2 * PAGE, TYPE_WC);
}
END_TEST

START_TEST(protection_and_type_of_a_huge_page)
{
	char *map = map_aligned(new_slice(0, PMD, WC), 0, PMD);
	uint64_t size = slice_can_be_huge() ? PMD : PAGE;

	write32(map, 1);
	ck_assert_works(mprotect(map, PMD, PROT_READ));
	read32(map);
	check_entry(page_entry(map), TYPE_WC, size);
	ck_assert(!page_entry(map).writable);
	ck_assert_int_eq(try_write32(map, 2), SIGSEGV);
	ck_assert_works(mprotect(map, PMD, RW));
	write32(map, 2);
	check_entry(page_entry(map), TYPE_WC, size);

	/* In parts: small pages take the huge one's place. */
	ck_assert_works(mprotect(map, PMD / 2, PROT_READ));
	ck_assert_int_eq(try_write32(map, 3), SIGSEGV);
	write32(map + PMD / 2, 3);
	read32(map);
	check_small(map, TYPE_WC);
	check_small(map + PMD / 2, TYPE_WC);
}
END_TEST

START_TEST(forked_and_moved_mappings_keep_the_type)
{
	int fd = new_slice(0, 2 * PAGE, WC);
	char *touched = slice_map(fd, 0, 2 * PAGE);
	char *untouched = slice_map(fd, 0, 2 * PAGE), *moved;
	struct client *child;

	read32(touched);
	child = client_start(CLIENT_NOBODY);
	client_read32(child, (long)touched);
	client_read32(child, (long)untouched);
	check_entry(client_page_entry(child, (long)touched), TYPE_WC, PAGE);
	check_entry(client_page_entry(child, (long)untouched), TYPE_WC, PAGE);
	client_end(child);

	moved = mremap(untouched, 2 * PAGE, 2 * PAGE,
		       MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, 2 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ck_assert_ptr_ne(moved, MAP_FAILED);
	read32(moved);
	check_small(moved, TYPE_WC);
}
END_TEST

START_TEST(suspension_keeps_the_type)
{
	char *map = slice_map(new_slice(0, PAGE, WC), 0, PAGE);

	read32(map);
	device_set_memory(&mem, false);
	ck_assert_int_eq(page_entry(map).type, TYPE_NONE);
	device_set_memory(&mem, true);
	read32(map);
	check_small(map, TYPE_WC);
}
END_TEST

START_TEST(mapped_buffer_keeps_its_type)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&mem, MEM, 0, 2 * PAGE);
	char *map = slice_map(fd, 0, 2 * PAGE);
	struct listed buffer;
	long other;

	ck_assert_fails(slice_set_memattr(&mem, fd, WC), EBUSY);
	ck_assert_fails(slice_set_memattr(&mem, fd, NC), EBUSY);
	other = client_mmap(c, fd, 0, PAGE, RW);
	ck_assert_works(munmap(map, 2 * PAGE));
	ck_assert_fails(slice_set_memattr(&mem, fd, WC), EBUSY);
	client_munmap(c, other, PAGE);

	ck_assert_works(slice_set_memattr(&mem, fd, WC));
	ck_assert(listing_find(mem.bdf, "slice", page_ranges("0+2"), &buffer));
	ck_assert_str_eq(buffer.memattr, "wc");
	map = slice_map(fd, 0, PAGE);
	read32(map);
	check_small(map, TYPE_WC);
	ck_assert_works(munmap(map, PAGE));

	ck_assert_works(slice_set_memattr(&mem, fd, NC));
	ck_assert(listing_find(mem.bdf, "slice", page_ranges("0+2"), &buffer));
	ck_assert_str_eq(buffer.memattr, "nc");
	map = slice_map(fd, 0, PAGE);
	read32(map);
	check_small(map, TYPE_UC_MINUS);
	client_end(c);
}
END_TEST

START_TEST(what_is_no_buffer_or_no_attribute_is_refused)
{
	int fd = slice_new(&mem, MEM, 0, PAGE), closed = dup(fd);
	struct device edu;

	ck_assert_fails(slice_set_memattr(&mem, fd, 2), EINVAL);
	ck_assert_fails(slice_set_memattr(&mem, fd, ~0U), EINVAL);
	close(closed);
	ck_assert_fails(slice_set_memattr(&mem, closed, WC), EBADF);
	ck_assert_fails(slice_set_memattr(&mem, -1, WC), EBADF);
	ck_assert_fails(slice_set_memattr(&mem, mem.fd, WC), EINVAL);
	ck_assert_fails(slice_set_memattr(&mem, memfd_create("m", 0), WC), EINVAL);
	device_open(&edu, "EDU");
	ck_assert_fails(slice_set_memattr(&edu, fd, WC), ENODEV);

	ck_assert_works(slice_revoke(&mem, fd));
	ck_assert_fails(slice_set_memattr(&mem, fd, WC), ENODEV);
}
END_TEST

START_TEST(argument_is_checked)
{
	struct vfio_device_feature feature = {
		.argsz = sizeof(feature),
		.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_MEMATTR,
	};
	char *pages = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_device_feature *at_end =
		(void *)(pages + PAGE - sizeof(feature));

	ck_assert_fails(ioctl(mem.fd, VFIO_DEVICE_FEATURE, &feature), EINVAL);
	ck_assert_works(mprotect(pages + PAGE, PAGE, PROT_NONE));
	feature.argsz += sizeof(struct vfio_dmabuf_feature_memattr);
	*at_end = feature;
	ck_assert_fails(ioctl(mem.fd, VFIO_DEVICE_FEATURE, at_end), EFAULT);
}
END_TEST

/* ---- what the command says of it ---- */

/* Of the holder of a part of the BAR that is of this kind. */
static const char *shown_type(uint64_t offset, const char *kind)
{
	json_t *shown = vfio_dmabuf_json("show --json %s", mem.bdf), *bar, *holder;
	size_t i, j;

	json_array_foreach(json_object_get(shown, "bars"), i, bar) {
		if (json_integer_value(json_object_get(bar, "index")) != MEM)
			continue;
		json_array_foreach(json_object_get(bar, "holders"), j, holder)
			if ((uint64_t)json_integer_value(json_object_get(holder, "offset")) == offset &&
			    !strcmp(json_string_value(json_object_get(holder, "kind")), kind))
				return json_string_value(json_object_get(holder, "memory_type"));
	}
	return "nobody";
}

/* Of the slice, and of this process's mapping of it. */
static void check_shown(uint64_t offset, const char *type)
{
	ck_assert_str_eq(shown_type(offset, "slice"), type);
	ck_assert_str_eq(shown_type(offset, "mapping"), type);
}

START_TEST(show_says_the_type)
{
	char *nc = slice_map(new_slice(0, PAGE, NC), 0, PAGE);
	char *wc = slice_map(new_slice(4 * PAGE, PAGE, WC), 0, PAGE);

	read32(nc);
	read32(wc);
	check_small(nc, TYPE_UC_MINUS);
	check_small(wc, TYPE_WC);
	check_shown(0, "uncached");
	check_shown(4 * PAGE, "write-combining");
	ck_assert_runs("show %s", mem.bdf);
	check_says("mapped 1 times, uncached");
	check_says("mapped 1 times, write-combining");
}
END_TEST

/* Where a BAR begins in memory. */
static uint64_t bar_address(unsigned int bar)
{
	char path[128], text[2048], *line = text;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", mem.bdf);
	ck_assert_works(file_read(path, text, sizeof(text)));
	while (bar--)
		line = strchr(line, '\n') + 1;
	return strtoull(line, NULL, 16);
}

/* In the parent, so that a failed test leaves none behind. */
static void forget_mtrrs(void)
{
	ck_assert_int_eq(shell("sed -n 's/^reg\\([0-9]*\\): .*write-combining.*/disable=\\1/p' /proc/mtrr |"
			       "while read -r line; do echo \"$line\" >/proc/mtrr; done"), 0);
}

static const char *mtrrs_missing(void)
{
	return access("/proc/mtrr", W_OK) ? "the kernel has no MTRRs" : NULL;
}

/* The one way to write-combining without PAT; the entries stay what they are. */
START_TEST(show_minds_mtrrs)
{
	char *map = slice_map(new_slice(0, PAGE, NC), 0, PAGE), text[128];

	read32(map);
	check_small(map, TYPE_UC_MINUS);
	check_shown(0, "uncached");
	snprintf(text, sizeof(text), "base=0x%" PRIx64 " size=0x100000 type=write-combining", bar_address(MEM));
	ck_assert_works(file_write("/proc/mtrr", text));
	check_small(map, TYPE_UC_MINUS);
	check_shown(0, "write-combining");
	forget_mtrrs();
	check_shown(0, "uncached");
}
END_TEST

static void setup_setting(void)
{
	setup();
	ck_assert_works(sysfs_write(mem.bdf, SETTING, "1"));
}

/* In the parent, so that a failed test does not affect others. */
static void restore_setting(void)
{
	sysfs_write(lab_find("IVSHMEM"), SETTING, "0");
	sysfs_write(lab_find("E1000E"), SETTING, "0");
}

START_TEST(setting_makes_bar_mappings_write_combining)
{
	char *small = device_map(&mem, MEM, PAGE, 4 * PAGE);
	char *huge = map_aligned(mem.fd, device_region(&mem, MEM).offset, PMD);
	struct listed buffer;
	char *after;

	write32(small + 4, 0x33);
	ck_assert_uint_eq(read32(huge + PAGE + 4), 0x33);
	check_small(small, TYPE_WC);
	check_entry(page_entry(huge), TYPE_WC, mapping_can_be_huge(false) ? PMD : PAGE);
	ck_assert_str_eq(shown_type(PAGE, "mapping"), "write-combining");
	ck_assert(listing_find(mem.bdf, "bar", page_ranges("0+5"), &buffer));
	ck_assert_str_eq(buffer.memattr, "wc");

	/* It is about mappings to come. */
	ck_assert_works(sysfs_write(mem.bdf, SETTING, "0"));
	after = device_map(&mem, MEM, PAGE, 4 * PAGE);
	read32(after);
	check_small(after, TYPE_UC_MINUS);
	device_set_memory(&mem, false);
	device_set_memory(&mem, true);
	read32(small);
	check_small(small, TYPE_WC);
}
END_TEST

START_TEST(setting_leaves_slices_alone)
{
	char *map = slice_map(slice_new(&mem, MEM, 0, PAGE), 0, PAGE);

	read32(map);
	check_small(map, TYPE_UC_MINUS);
}
END_TEST

START_TEST(setting_leaves_registers_uncached)
{
	struct device e1000e;
	char *map;

	device_open(&e1000e, "E1000E");
	ck_assert_works(sysfs_write(e1000e.bdf, SETTING, "1"));
	map = device_map(&e1000e, 0, 0, PAGE);
	read32(map);
	check_small(map, TYPE_UC_MINUS);
}
END_TEST

START_TEST(setting_takes_truth_values_only)
{
	char path[128], value[8];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/" SETTING, mem.bdf);
	ck_assert_fails(file_write(path, "2"), EINVAL);
	ck_assert_fails(file_write(path, "wc"), EINVAL);
	ck_assert_works(file_read(path, value, sizeof(value)));
	ck_assert_str_eq(value, "1\n");
	ck_assert_works(file_write(path, "0\n"));
	ck_assert_works(file_read(path, value, sizeof(value)));
	ck_assert_str_eq(value, "0\n");

	ck_assert_works(setresuid(1000, 1000, 1000));
	ck_assert_fails(file_write(path, "1"), EACCES);
}
END_TEST

/* "nopat" on the kernel's command line. */
START_TEST(machine_without_the_attribute_refuses_it)
{
	int fd = slice_new(&mem, MEM, 0, PAGE);
	char *map;

	ck_assert_fails(slice_set_memattr(&mem, fd, WC), EOPNOTSUPP);
	ck_assert_works(slice_set_memattr(&mem, fd, NC));
	ck_assert_fails(sysfs_write(mem.bdf, SETTING, "1"), EOPNOTSUPP);
	map = slice_map(fd, 0, PAGE);
	read32(map);
	check_small(map, TYPE_UC_MINUS);
	check_shown(0, "uncached");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("memattr");
	TCase *tc = add_group(s, "slice");

	pagetable_init();
	if (kernel_started_with("nopat")) {
		tcase_add_checked_fixture(tc, setup, NULL);
		tcase_add_test(tc, machine_without_the_attribute_refuses_it);
		tcase_add_unchecked_fixture(tc, NULL, forget_mtrrs);
		tcase_add_test(tc, show_minds_mtrrs);
		return s;
	}

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, probe_knows_the_feature);
	tcase_add_test(tc, uncached_is_the_default);
	tcase_add_test(tc, both_side_by_side_in_two_processes);
	tcase_add_test(tc, both_side_by_side_in_one_process);
	tcase_add_test(tc, huge_page_has_the_type);
	tcase_add_test(tc, each_run_of_a_slice_has_the_type);
	tcase_add_test(tc, protection_and_type_are_independent);
	tcase_add_test(tc, protection_and_type_of_a_huge_page);
	tcase_add_test(tc, forked_and_moved_mappings_keep_the_type);
	tcase_add_test(tc, suspension_keeps_the_type);
	tcase_add_test(tc, mapped_buffer_keeps_its_type);
	tcase_add_test(tc, what_is_no_buffer_or_no_attribute_is_refused);
	tcase_add_test(tc, argument_is_checked);
	tcase_add_test(tc, show_says_the_type);
	if (!mtrrs_missing())
		tcase_add_unchecked_fixture(tc, NULL, forget_mtrrs);
	add_test_or_skip(tc, show_minds_mtrrs, mtrrs_missing());

	tc = add_group(s, "setting");
	tcase_add_unchecked_fixture(tc, NULL, restore_setting);
	tcase_add_checked_fixture(tc, setup_setting, NULL);
	tcase_add_test(tc, setting_makes_bar_mappings_write_combining);
	tcase_add_test(tc, setting_leaves_slices_alone);
	tcase_add_test(tc, setting_leaves_registers_uncached);
	tcase_add_test(tc, setting_takes_truth_values_only);
	return s;
}
