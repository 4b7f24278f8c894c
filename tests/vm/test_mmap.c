// SPDX-License-Identifier: MIT
/* mmap() of BARs through the VFIO device fd. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "edu.h"
#include "listing.h"
#include "maps.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */

static struct device edu, mem;

static void open_edu(void)
{
	device_open(&edu, "EDU");
}

static void open_mem(void)
{
	device_open(&mem, "IVSHMEM");
}

static void check_line(const struct device *dev, const void *map, size_t length,
		       const char *mode, uint64_t offset, unsigned int bar)
{
	struct maps_line line;
	char vfio[64], name[128];

	device_vfio_name(dev->bdf, vfio, sizeof(vfio));
	snprintf(name, sizeof(name), "/dmabuf:%s:%s/%u", vfio, dev->bdf, bar);

	ck_assert(maps_find(map, &line));
	ck_assert_uint_eq(line.start, (uintptr_t)map);
	ck_assert_uint_eq(line.end - line.start, length);
	ck_assert_str_eq(line.mode, mode);
	ck_assert_uint_eq(line.offset, offset);
	ck_assert_str_eq(line.name, name);
}

START_TEST(maps_shows_offsets_in_the_bar_and_a_name)
{
	void *low = device_map(&edu, 0, 0, PAGE);
	void *high = device_map(&edu, 0, 4 * PAGE, 2 * PAGE);

	check_line(&edu, low, PAGE, "rw-s", 0, 0);
	check_line(&edu, high, 2 * PAGE, "rw-s", 4 * PAGE, 0);
	ck_assert_uint_eq(read32(low + EDU_ID), EDU_ID_VALUE);
}
END_TEST

START_TEST(maps_shows_the_offset_without_the_region_index)
{
	void *first = device_map(&mem, MEM, 3 * PAGE, PAGE);
	struct device e1000e;
	void *other;

	check_line(&mem, first, PAGE, "rw-s", 3 * PAGE, MEM);

	device_open(&e1000e, "E1000E");
	other = device_map(&e1000e, 1, 3 * PAGE, PAGE);
	check_line(&e1000e, other, PAGE, "rw-s", 3 * PAGE, 1);
}
END_TEST

START_TEST(mappings_of_two_bars_reach_their_own)
{
	struct device e1000e;
	void *registers, *table;
	uint32_t by_read;

	device_open(&e1000e, "E1000E");
	registers = device_map(&e1000e, 0, 0, PAGE);
	table = device_map(&e1000e, 3, 0, PAGE);

	ck_assert_works(device_peek(&e1000e, 0, 8, &by_read, 4));
	ck_assert_uint_eq(read32(registers + 8), by_read);
	/* VFIO hides the table from read(): it is known by its reset value. */
	ck_assert_uint_eq(read32(table + PCI_MSIX_ENTRY_VECTOR_CTRL),
			  PCI_MSIX_ENTRY_CTRL_MASKBIT);
	check_line(&e1000e, registers, PAGE, "rw-s", 0, 0);
	check_line(&e1000e, table, PAGE, "rw-s", 0, 3);
}
END_TEST

START_TEST(each_page_shows_its_own_bytes)
{
	const size_t length = 64 * PAGE;
	void *map = device_map(&mem, MEM, 16 * PAGE, length);
	uint32_t page, value;

	for (page = 0; page < 64; page++)
		write32(map + page * PAGE, 0xabc00000 + page);
	for (page = 0; page < 64; page++) {
		ck_assert_works(device_peek(&mem, MEM, (16 + page) * PAGE,
					    &value, 4));
		ck_assert_uint_eq(value, 0xabc00000 + page);
	}
}
END_TEST

START_TEST(read_only_mapping_cannot_be_written)
{
	void *map = device_try_map(&edu, 0, 0, PAGE, PROT_READ, MAP_SHARED);

	ck_assert_ptr_ne(map, MAP_FAILED);
	check_line(&edu, map, PAGE, "r--s", 0, 0);
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
	ck_assert_int_eq(try_write32(map + EDU_LIVENESS, 1), SIGSEGV);
	ck_assert_works(mprotect(map, PAGE, PROT_READ | PROT_WRITE));
	write32(map + EDU_LIVENESS, 1);
}
END_TEST

START_TEST(private_mapping_is_refused)
{
	ck_assert_fails(device_try_map(&edu, 0, 0, PAGE, PROT_READ, MAP_PRIVATE),
			EINVAL);
	ck_assert_fails(device_try_map(&edu, 0, 0, PAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE), EINVAL);
}
END_TEST

START_TEST(mapping_past_the_end_is_refused)
{
	const uint64_t size = device_bar_size(&edu, 0);
	const int prot = PROT_READ | PROT_WRITE;

	ck_assert_fails(device_try_map(&edu, 0, 0, size + PAGE, prot, MAP_SHARED),
			EINVAL);
	ck_assert_fails(device_try_map(&edu, 0, size - PAGE, 2 * PAGE, prot,
				       MAP_SHARED), EINVAL);
	ck_assert_fails(device_try_map(&edu, 0, size, PAGE, prot, MAP_SHARED),
			EINVAL);
	device_map(&edu, 0, size - PAGE, PAGE);
}
END_TEST

START_TEST(absent_and_io_bars_cannot_be_mapped)
{
	struct device e1000e;

	ck_assert_fails(device_try_map(&edu, 1, 0, PAGE, PROT_READ, MAP_SHARED),
			EINVAL);
	device_open(&e1000e, "E1000E");
	ck_assert_fails(device_try_map(&e1000e, 2, 0, PAGE, PROT_READ,
				       MAP_SHARED), EINVAL);
}
END_TEST

/* A BAR smaller than a page can be mapped where VFIO reserved its page. */
START_TEST(small_bar_is_mapped_where_vfio_says_so)
{
	struct vfio_region_info region = device_region(&mem, 0);
	void *map = device_try_map(&mem, 0, 0, PAGE, PROT_READ, MAP_SHARED);

	ck_assert_uint_lt(region.size, PAGE);
	if (region.flags & VFIO_REGION_INFO_FLAG_MMAP) {
		ck_assert_ptr_ne(map, MAP_FAILED);
		read32(map);
	} else {
		ck_assert_ptr_eq(map, MAP_FAILED);
	}
}
END_TEST

START_TEST(page_of_the_msix_table_can_be_mapped)
{
	struct device e1000e;
	unsigned int cap;
	uint32_t table, offset;
	void *map, *slice;

	device_open(&e1000e, "E1000E");
	cap = config_find_cap(&e1000e, PCI_CAP_ID_MSIX);
	ck_assert_uint_ne(cap, 0);
	table = config_read(&e1000e, cap + PCI_MSIX_TABLE, 4);
	ck_assert_uint_eq(table & PCI_MSIX_TABLE_BIR, 3);
	offset = (table & PCI_MSIX_TABLE_OFFSET) + PCI_MSIX_ENTRY_VECTOR_CTRL;

	map = device_map(&e1000e, 3, 0, device_bar_size(&e1000e, 3));
	slice = slice_map(slice_new(&e1000e, 3, 0, PAGE), 0, PAGE);
	ck_assert_uint_eq(read32(map + offset), PCI_MSIX_ENTRY_CTRL_MASKBIT);
	ck_assert_uint_eq(read32(slice + offset), PCI_MSIX_ENTRY_CTRL_MASKBIT);
}
END_TEST

START_TEST(mapping_works_after_close_and_beside_a_new_fd)
{
	void *map = device_map(&edu, 0, 0, PAGE);
	struct listed buffer;

	ck_assert_works(close(edu.fd));
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);

	edu.fd = device_get_fd(&edu, "");
	ck_assert_works(edu.fd);
	write32(map + EDU_LIVENESS, 5);
	ck_assert_uint_eq(read32(map + EDU_LIVENESS), ~5u);
	ck_assert(listing_find(edu.bdf, "bar", page_ranges("0+1"), &buffer));
	ck_assert_str_eq(buffer.state, "live");
}
END_TEST

START_TEST(live_mapping_keeps_the_device_open)
{
	void *map = device_map(&edu, 0, 0, PAGE);
	char number[16], path[64];
	struct listed buffer;
	int group;

	ck_assert(function_link(edu.bdf, "iommu_group", number, sizeof(number)));
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	device_close(&edu);

	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
	ck_assert_fails(open(path, O_RDWR), EBUSY);
	ck_assert(listing_find(edu.bdf, "bar", page_ranges("0+1"), &buffer));
	ck_assert_str_eq(buffer.state, "live");

	ck_assert_works(munmap(map, PAGE));
	group = open(path, O_RDWR);
	ck_assert_works(group);
	close(group);
	ck_assert_uint_eq(listing_read(edu.bdf, NULL, 0), 0);
}
END_TEST

START_TEST(mapping_cannot_grow)
{
	void *map = device_map(&edu, 0, 0, PAGE);

	ck_assert_fails(mremap(map, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
}
END_TEST

START_TEST(mapping_cannot_be_doubled_by_mremap)
{
	void *map = device_map(&edu, 0, 0, PAGE);

	ck_assert_ptr_eq(mremap(map, 0, PAGE, MREMAP_MAYMOVE), MAP_FAILED);
	ck_assert_ptr_eq(mremap(map, PAGE, PAGE,
				MREMAP_MAYMOVE | MREMAP_DONTUNMAP), MAP_FAILED);
}
END_TEST

START_TEST(mapping_can_be_moved_and_shrunk)
{
	void *map = device_map(&mem, MEM, 8 * PAGE, 4 * PAGE);
	void *place = mmap(NULL, 4 * PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *moved;
	uint32_t value;

	write32(map + PAGE, 0x1111);
	moved = mremap(map, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       place);
	ck_assert_ptr_eq(moved, place);
	check_line(&mem, moved, 4 * PAGE, "rw-s", 8 * PAGE, MEM);
	ck_assert_uint_eq(read32(moved + PAGE), 0x1111);
	ck_assert_int_eq(try_read32(map, &value), SIGSEGV);

	ck_assert_ptr_eq(mremap(moved, 4 * PAGE, 2 * PAGE, 0), moved);
	ck_assert_uint_eq(read32(moved + PAGE), 0x1111);
	ck_assert_int_eq(try_read32(moved + 2 * PAGE, &value), SIGSEGV);
}
END_TEST

/* Untouched pages too, so that both parts still take faults of their own. */
START_TEST(partial_munmap_leaves_the_rest)
{
	void *map = device_map(&mem, MEM, 0, 16 * PAGE);
	struct listed buffer;
	uint32_t page, value;

	for (page = 0; page < 16; page++) {
		value = 0x700 + page;
		ck_assert_works(device_poke(&mem, MEM, page * PAGE, &value, 4));
	}
	ck_assert_works(munmap(map + 6 * PAGE, 4 * PAGE));

	check_line(&mem, map, 6 * PAGE, "rw-s", 0, MEM);
	check_line(&mem, map + 10 * PAGE, 6 * PAGE, "rw-s", 10 * PAGE, MEM);
	for (page = 0; page < 16; page++) {
		int hole = page >= 6 && page < 10;

		ck_assert_int_eq(try_read32(map + page * PAGE, &value),
				 hole ? SIGSEGV : 0);
		if (!hole)
			ck_assert_uint_eq(value, 0x700 + page);
	}
	ck_assert(listing_find(mem.bdf, "bar", page_ranges("0+16"), &buffer));
	ck_assert_uint_eq(buffer.mappings, 2);
}
END_TEST

START_TEST(forked_child_reads_and_writes)
{
	void *touched = device_map(&edu, 0, 0, PAGE);
	void *untouched = device_map(&edu, 0, 0, PAGE);
	struct client *child;

	read32(touched);
	child = client_start(CLIENT_NOBODY);
	client_write32(child, (long)touched + EDU_LIVENESS, 0x55);
	ck_assert_uint_eq(read32(touched + EDU_LIVENESS), ~0x55u);
	ck_assert_uint_eq(client_read32(child, (long)untouched + EDU_LIVENESS),
			  ~0x55u);
	client_end(child);
}
END_TEST

START_TEST(dontfork_mapping_is_not_in_the_child)
{
	void *map = device_map(&edu, 0, 0, PAGE);
	struct client *child;
	uint32_t value;

	read32(map);
	ck_assert_works(madvise(map, PAGE, MADV_DONTFORK));
	child = client_start(CLIENT_NOBODY);
	ck_assert_int_eq(client_try_read32(child, (long)map, &value), SIGSEGV);
	ck_assert_uint_eq(read32(map + EDU_ID), EDU_ID_VALUE);
	client_end(child);
}
END_TEST

/* As on stock vfio-pci: the kernel has no way to access such pages. */
START_TEST(proc_mem_cannot_reach_registers)
{
	void *map = device_map(&edu, 0, 0, PAGE);
	int fd = open("/proc/self/mem", O_RDWR);
	uint32_t value = 0;

	ck_assert_works(fd);
	read32(map);
	ck_assert_fails(pread(fd, &value, 4, (off_t)map), EIO);
	ck_assert_fails(pwrite(fd, &value, 4, (off_t)map), EIO);
}
END_TEST

START_TEST(ptrace_cannot_reach_registers)
{
	void *map = device_map(&edu, 0, 0, PAGE);
	struct client *child = client_start(CLIENT_ROOT);
	int status;

	client_read32(child, (long)map);
	ck_assert_works(ptrace(PTRACE_SEIZE, child->pid, NULL, NULL));
	ck_assert_works(ptrace(PTRACE_INTERRUPT, child->pid, NULL, NULL));
	ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
	ck_assert_fails(ptrace(PTRACE_PEEKDATA, child->pid, map, NULL), EIO);
	ck_assert_works(ptrace(PTRACE_DETACH, child->pid, NULL, NULL));
	client_end(child);
}
END_TEST

/* remap_file_pages() asks the mapping's own file for another part of it. */
START_TEST(part_before_the_mapping_is_out_of_reach)
{
	void *map = device_map(&edu, 0, 4 * PAGE, 4 * PAGE);

	ck_assert_fails(remap_file_pages(map, PAGE, 0, 0, 0), EINVAL);
	map = device_map(&edu, 0, 4 * PAGE, 4 * PAGE);
	ck_assert_fails(remap_file_pages(map, PAGE, 0, 8, 0), EINVAL);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("mmap");
	TCase *tc = add_group(s, "edu");

	tcase_add_checked_fixture(tc, open_edu, NULL);
	tcase_add_test(tc, maps_shows_offsets_in_the_bar_and_a_name);
	tcase_add_test(tc, read_only_mapping_cannot_be_written);
	tcase_add_test(tc, private_mapping_is_refused);
	tcase_add_test(tc, mapping_past_the_end_is_refused);
	tcase_add_test(tc, absent_and_io_bars_cannot_be_mapped);
	tcase_add_test(tc, mapping_works_after_close_and_beside_a_new_fd);
	tcase_add_test(tc, live_mapping_keeps_the_device_open);
	tcase_add_test(tc, mapping_cannot_grow);
	tcase_add_test(tc, mapping_cannot_be_doubled_by_mremap);
	tcase_add_test(tc, forked_child_reads_and_writes);
	tcase_add_test(tc, dontfork_mapping_is_not_in_the_child);
	tcase_add_test(tc, proc_mem_cannot_reach_registers);
	tcase_add_test(tc, ptrace_cannot_reach_registers);
	tcase_add_test(tc, part_before_the_mapping_is_out_of_reach);

	tc = add_group(s, "memory");
	tcase_add_checked_fixture(tc, open_mem, NULL);
	tcase_add_test(tc, maps_shows_the_offset_without_the_region_index);
	tcase_add_test(tc, each_page_shows_its_own_bytes);
	tcase_add_test(tc, small_bar_is_mapped_where_vfio_says_so);
	tcase_add_test(tc, mapping_can_be_moved_and_shrunk);
	tcase_add_test(tc, partial_munmap_leaves_the_rest);

	tc = add_group(s, "e1000e");
	tcase_add_test(tc, mappings_of_two_bars_reach_their_own);
	tcase_add_test(tc, page_of_the_msix_table_can_be_mapped);
	return s;
}
