// SPDX-License-Identifier: MIT
/* Memory of the kernel's that each slice and each mapping takes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sample.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"
#include "twins.h"

#define BAR	2
#define PAGE	4096UL
#define PAGES	4096	/* of the BAR */
#define NUMBER	10000

static struct twins twins;

/*
 * What the kernel has allocated for its own objects, in bytes: slabs, page
 * tables, vmalloc and per-CPU memory.  The counters of each processor are added
 * up first.
 */
static long kernel_memory(void)
{
	static const char *const counted[] = {
		"Slab:", "PageTables:", "VmallocUsed:", "Percpu:", "KernelStack:",
	};
	char line[128], name[64];
	long kib, sum = 0;
	size_t found = 0;
	FILE *meminfo;

	ck_assert_works(file_write("/proc/sys/vm/stat_refresh", "1"));
	meminfo = fopen("/proc/meminfo", "re");
	ck_assert_ptr_nonnull(meminfo);
	while (fgets(line, sizeof(line), meminfo)) {
		if (sscanf(line, "%63s %ld kB", name, &kib) != 2)
			continue;
		for (size_t i = 0; i < sizeof(counted) / sizeof(*counted); i++) {
			if (!strcmp(name, counted[i])) {
				sum += kib * 1024;
				found++;
			}
		}
	}
	fclose(meminfo);
	ck_assert_uint_eq(found, sizeof(counted) / sizeof(*counted));
	return sum;
}

static void record_each(const char *name, const char *side, long before)
{
	double each = (double)(kernel_memory() - before) / NUMBER;

	record(name, side, NUMBER, each, each);
}

static void export_many(int *fds, unsigned int nr)
{
	struct vfio_region_dma_range range = { 0, PAGE };

	for (unsigned int i = 0; i < nr; i++) {
		range.offset = i % PAGES * PAGE;
		fds[i] = slice_export(&twins.ours, BAR, O_RDWR | O_CLOEXEC, &range, 1);
		if (fds[i] < 0)
			ck_abort_msg("export %u: %s", i, strerror(errno));
	}
}

START_TEST(slices)
{
	static int first[500], fds[NUMBER];
	const struct rlimit limit = { 4 * NUMBER, 4 * NUMBER };
	long before;

	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	ck_assert_works(dup2(0, 3 * NUMBER));
	memset(fds, 0xff, sizeof(fds));
	/* Free objects in slabs are used up, and the table of files has room. */
	export_many(first, 500);
	before = kernel_memory();
	export_many(fds, NUMBER);
	record_each("memory-slice", "ours", before);
}
END_TEST

/* The part's pages one by one, each touched; they do not merge. */
static void map_many(const struct part *part, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, part->fd,
				 part->offset + i % PAGES * PAGE);

		if (map == MAP_FAILED)
			ck_abort_msg("mapping %u: %s", i, strerror(errno));
		(void)*(volatile uint32_t *)map;
	}
}

static void measure_mappings(const char *name, const char *side, const struct part *part)
{
	long before;

	map_many(part, 500);
	before = kernel_memory();
	map_many(part, NUMBER);
	record_each(name, side, before);
}

/* In a process for each, with which its mappings go. */
START_TEST(mappings)
{
	struct part ours = part_of_bar(&twins.ours, BAR, 0, PAGES * PAGE);
	struct part stock = part_of_bar(&twins.stock, BAR, 0, PAGES * PAGE);
	struct part slice = {
		.fd = slice_new(&twins.ours, BAR, 0, PAGES * PAGE),
		.length = PAGES * PAGE,
	};

	switch (_i) {
	case 0:
		return measure_mappings("memory-mapping", "ours", &ours);
	case 1:
		return measure_mappings("memory-slice-mapping", "ours", &slice);
	}
	measure_mappings("memory-mapping", "base", &stock);
	measure_mappings("memory-slice-mapping", "base", &stock);
}
END_TEST

static void setup(void)
{
	twins_open(&twins, "IVSHMEM", "IVSHMEM2");
}

Suite *suite(void)
{
	Suite *s = suite_create("memory");
	TCase *tc = add_group(s, "each");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, slices);
	tcase_add_loop_test(tc, mappings, 0, 3);
	return s;
}
