// SPDX-License-Identifier: MIT
/* What the owner of the machine can see: trace events, and the list of buffers. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */

typedef struct vfio_region_dma_range range_t;

static struct device mem;

static void setup(void)
{
	device_open(&mem, "IVSHMEM");
}

/* The only event recorded; to be read before the next step. */
static struct trace_event only_event(const char *name)
{
	struct trace_event *events, event;

	ck_assert_uint_eq(trace_read(&events), 1);
	event = events[0];
	free(events);
	ck_assert_str_eq(event.name, name);
	/* Which device it is stands first in each. */
	ck_assert_msg(!strncmp(event.fields, "device=", 7) &&
		      !strncmp(event.fields + 7, mem.bdf, strlen(mem.bdf)),
		      "%s: %s", name, event.fields);
	trace_start();
	return event;
}

static void check_buffer_event(const char *name, const char *kind,
			       uint64_t offset, uint64_t size)
{
	struct trace_event event = only_event(name);

	ck_assert_uint_eq(trace_number(&event, "bar"), MEM);
	ck_assert_ptr_nonnull(strstr(event.fields, kind));
	ck_assert_uint_eq(trace_number(&event, "offset"), offset);
	ck_assert_uint_eq(trace_number(&event, "size"), size);
}

START_TEST(events_show_the_life_of_a_slice)
{
	struct trace_event event;
	char *map;
	int fd;

	trace_start();
	fd = slice_new(&mem, MEM, 8 * PAGE, 4 * PAGE);
	check_buffer_event("buffer_export", "kind=slice", 8 * PAGE, 4 * PAGE);
	map = slice_map(fd, PAGE, 2 * PAGE);
	check_buffer_event("buffer_mmap", "kind=slice", 9 * PAGE, 2 * PAGE);

	read32(map + PAGE);
	event = only_event("buffer_fault");
	ck_assert_uint_eq(trace_number(&event, "bar"), MEM);
	ck_assert_uint_eq(trace_number(&event, "offset"), 9 * PAGE);
	ck_assert_uint_eq(trace_number(&event, "pages"), 2);
	ck_assert_uint_eq(trace_number(&event, "order"), 0);
	ck_assert_uint_eq(trace_number(&event, "result"), 0x100);

	ck_assert_works(slice_revoke(&mem, fd));
	check_buffer_event("buffer_revoke", "kind=slice", 8 * PAGE, 4 * PAGE);
	try_read32(map, &(uint32_t){ 0 });
	event = only_event("buffer_fault");
	ck_assert_uint_eq(trace_number(&event, "result"), 0x2);

	close(fd);
	munmap(map, 2 * PAGE);
	check_buffer_event("buffer_release", "kind=slice", 8 * PAGE, 4 * PAGE);
}
END_TEST

START_TEST(events_show_the_life_of_a_bar_mapping)
{
	char *map;

	trace_start();
	map = device_map(&mem, MEM, 4 * PAGE, 2 * PAGE);
	check_buffer_event("buffer_mmap", "kind=bar", 4 * PAGE, 2 * PAGE);
	munmap(map, 2 * PAGE);
	check_buffer_event("buffer_release", "kind=bar", 0, 6 * PAGE);
}
END_TEST

START_TEST(events_show_suspension)
{
	struct trace_event event;

	trace_start();
	device_set_memory(&mem, false);
	event = only_event("device_suspend");
	ck_assert_ptr_nonnull(strstr(event.fields, " reason=memory"));
	device_set_memory(&mem, true);
	event = only_event("device_resume");
	ck_assert_ptr_nonnull(strstr(event.fields, " reason=memory"));
}
END_TEST

START_TEST(closing_is_reported_for_each_slice)
{
	int first = slice_new(&mem, MEM, 0, PAGE);
	int second = slice_new(&mem, MEM, 2 * PAGE, PAGE);
	char offset[32];

	snprintf(offset, sizeof(offset), "offset=0x%lx ", 2 * PAGE);
	ck_assert_works(slice_revoke(&mem, first));
	trace_start();
	device_close(&mem);
	ck_assert_uint_eq(trace_count("buffer_revoke", ""), 1);
	ck_assert_uint_eq(trace_count("buffer_revoke", offset), 1);
	close(first);
	close(second);
	ck_assert_uint_eq(trace_count("buffer_release", ""), 2);
}
END_TEST

START_TEST(listing_is_empty_at_first)
{
	ck_assert_uint_eq(listing_read(mem.bdf, NULL, 0), 0);
	device_close(&mem);
	ck_assert_uint_eq(listing_read(mem.bdf, NULL, 0), 0);
}
END_TEST

START_TEST(listing_shows_both_kinds)
{
	char vfio[64], name[128];
	struct listed buffer;

	device_vfio_name(mem.bdf, vfio, sizeof(vfio));
	snprintf(name, sizeof(name), "%s:%s/%u", vfio, mem.bdf, MEM);
	device_map(&mem, MEM, PAGE, PAGE);
	slice_new(&mem, MEM, 8 * PAGE, 4 * PAGE);

	ck_assert_uint_eq(listing_read(mem.bdf, NULL, 0), 2);
	ck_assert(listing_find(mem.bdf, "bar", page_ranges("0+2"), &buffer));
	ck_assert_uint_eq(buffer.bar, MEM);
	ck_assert_str_eq(buffer.state, "live");
	ck_assert_str_eq(buffer.mode, "rw");
	ck_assert_uint_eq(buffer.mappings, 1);
	ck_assert_uint_eq(buffer.size, 2 * PAGE);
	ck_assert_str_eq(buffer.name, name);

	ck_assert(listing_find(mem.bdf, "slice", page_ranges("8+4"), &buffer));
	ck_assert_uint_eq(buffer.bar, MEM);
	ck_assert_str_eq(buffer.state, "live");
	ck_assert_str_eq(buffer.mode, "rw");
	ck_assert_uint_eq(buffer.mappings, 0);
	ck_assert_uint_eq(buffer.size, 4 * PAGE);
	ck_assert_str_eq(buffer.name, name);
}
END_TEST

START_TEST(listing_shows_mode_state_and_release)
{
	const char *const ranges = page_ranges("0+1");
	range_t range = { 0, PAGE };
	struct listed buffer;
	int fd = slice_export(&mem, MEM, O_RDONLY, &range, 1);

	ck_assert_works(fd);
	ck_assert(listing_find(mem.bdf, "slice", ranges, &buffer));
	ck_assert_str_eq(buffer.mode, "ro");
	device_set_memory(&mem, false);
	ck_assert(listing_find(mem.bdf, "slice", ranges, &buffer));
	ck_assert_str_eq(buffer.state, "suspended");
	device_set_memory(&mem, true);
	ck_assert_works(slice_revoke(&mem, fd));
	ck_assert(listing_find(mem.bdf, "slice", ranges, &buffer));
	ck_assert_str_eq(buffer.state, "revoked");
	close(fd);
	ck_assert(!listing_find(mem.bdf, "slice", ranges, &buffer));
}
END_TEST

static unsigned int mappings(void)
{
	struct listed buffer;

	ck_assert(listing_find(mem.bdf, "slice", page_ranges("0+8"), &buffer));
	return buffer.mappings;
}

START_TEST(listing_counts_mappings)
{
	int fd = slice_new(&mem, MEM, 0, 8 * PAGE);
	struct client *first = client_start(CLIENT_NOBODY), *forked;
	char *map;

	ck_assert_uint_eq(mappings(), 0);
	map = slice_map(fd, 0, 8 * PAGE);
	ck_assert_uint_eq(mappings(), 1);
	munmap(map + 2 * PAGE, PAGE);
	ck_assert_uint_eq(mappings(), 2);
	munmap(map, 8 * PAGE);
	ck_assert_uint_eq(mappings(), 0);

	client_mmap(first, fd, 0, PAGE, PROT_READ);
	ck_assert_uint_eq(mappings(), 1);
	forked = client_fork(first);
	ck_assert_uint_eq(mappings(), 2);
	/* A mapping ends with its process, and the list no longer counts it. */
	client_end(first);
	ck_assert_uint_eq(mappings(), 1);
	client_end(forked);
}
END_TEST

START_TEST(listing_joins_and_shortens_ranges)
{
	const range_t joined[] = { { 0, PAGE }, { PAGE, PAGE }, { 8 * PAGE, PAGE } };
	char first[512];
	range_t many[20];
	struct listed buffer;
	int i;

	for (i = 0; i < 20; i++)
		many[i] = (range_t){ 2 * i * PAGE, PAGE };
	ck_assert_works(slice_export(&mem, MEM, O_RDWR, joined, 3));
	ck_assert(listing_find(mem.bdf, "slice", page_ranges("0+2,8+1"),
			       &buffer));
	ck_assert_works(slice_export(&mem, MEM, O_RDWR, many, 20));
	snprintf(first, sizeof(first), "%s,+4",
		 page_ranges("0+1,2+1,4+1,6+1,8+1,10+1,12+1,14+1,16+1,18+1,20+1,22+1,24+1,26+1,28+1,30+1"));
	ck_assert(listing_find(mem.bdf, "slice", first, &buffer));
}
END_TEST

/* A client may name its slice: that must not forge lines of the list. */
START_TEST(listing_escapes_names)
{
	int fd = slice_new(&mem, MEM, 0, PAGE);
	struct listed buffer;

	ck_assert_works(ioctl(fd, DMA_BUF_SET_NAME, "a b\nc"));
	ck_assert_uint_eq(listing_read(mem.bdf, &buffer, 1), 1);
	ck_assert_str_eq(buffer.name, "a\\040b\\012c");
	ck_assert_str_eq(buffer.ranges, page_ranges("0+1"));
}
END_TEST

/* It identifies a mapping regardless of the name that its holder has set. */
START_TEST(listing_has_the_inode_of_mappings)
{
	int fd = slice_new(&mem, MEM, 0, PAGE);
	struct listed buffer;
	struct stat file;

	ck_assert_works(fstat(fd, &file));
	ck_assert_uint_eq(listing_read(mem.bdf, &buffer, 1), 1);
	ck_assert_uint_eq(buffer.inode, file.st_ino);
}
END_TEST

START_TEST(listing_is_for_root_only)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/kernel/debug/dmabuf-vfio-pci/%s/buffers", mem.bdf);
	ck_assert_works(access(path, R_OK));
	ck_assert_works(setresuid(1000, 1000, 1000));
	ck_assert_int_eq(access(path, R_OK), -1);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("debug");
	TCase *tc = add_group(s, "events");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, events_show_the_life_of_a_slice);
	tcase_add_test(tc, events_show_the_life_of_a_bar_mapping);
	tcase_add_test(tc, events_show_suspension);
	tcase_add_test(tc, closing_is_reported_for_each_slice);

	tc = add_group(s, "listing");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, listing_is_empty_at_first);
	tcase_add_test(tc, listing_shows_both_kinds);
	tcase_add_test(tc, listing_shows_mode_state_and_release);
	tcase_add_test(tc, listing_counts_mappings);
	tcase_add_test(tc, listing_joins_and_shortens_ranges);
	tcase_add_test(tc, listing_escapes_names);
	tcase_add_test(tc, listing_has_the_inode_of_mappings);
	tcase_add_test(tc, listing_is_for_root_only);
	return s;
}
