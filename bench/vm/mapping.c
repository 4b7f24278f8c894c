// SPDX-License-Identifier: MIT
/* What making, using once and removing a mapping of one page costs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sample.h"
#include "slice.h"
#include "suite.h"
#include "twins.h"

#define BAR 2
#define OFFSET 0x4000
#define LENGTH 4096

static void run_page(const void *side, uint64_t *counts)
{
	const struct part *part = side;
	uint64_t begin, mapped, touched, unmapped;
	void *map;

	begin = instructions();
	map = mmap(NULL, part->length, PROT_READ | PROT_WRITE, MAP_SHARED,
		   part->fd, part->offset);
	mapped = instructions();
	if (map == MAP_FAILED)
		ck_abort_msg("mmap: %s", strerror(errno));
	(void)*(volatile uint32_t *)map;
	touched = instructions();
	munmap(map, part->length);
	unmapped = instructions();

	counts[0] = unmapped - begin;
	counts[1] = mapped - begin;
	counts[2] = touched - mapped;
	counts[3] = unmapped - touched;
}

static void run_export(const void *side, uint64_t *counts)
{
	const struct vfio_region_dma_range range = { OFFSET, LENGTH };
	uint64_t begin = instructions(), exported;
	int fd;

	fd = slice_export(side, BAR, O_RDWR | O_CLOEXEC, &range, 1);
	exported = instructions();
	if (fd < 0)
		ck_abort_msg("export: %s", strerror(errno));
	close(fd);
	counts[0] = instructions() - begin;
	counts[1] = exported - begin;
}

START_TEST(page)
{
	const struct measurement device = {
		.names = { "page", "page-mmap", "page-touch", "page-munmap" },
		.run = run_page,
		.batches = 10,
		.runs = 500,
	};
	const struct measurement slice = {
		.names = { "slice", "slice-mmap", "slice-touch", "slice-munmap" },
		.run = run_page,
		.batches = 10,
		.runs = 500,
	};
	struct part ours, stock, of_slice;
	struct twins twins;

	twins_open(&twins, "IVSHMEM", "IVSHMEM2");
	ours = part_of_bar(&twins.ours, BAR, OFFSET, LENGTH);
	stock = part_of_bar(&twins.stock, BAR, OFFSET, LENGTH);
	measure(&device, &ours, &stock);

	of_slice = (struct part){
		.fd = slice_new(&twins.ours, BAR, OFFSET, LENGTH),
		.length = LENGTH,
	};
	measure(&slice, &of_slice, &stock);
}
END_TEST

START_TEST(export)
{
	const struct measurement export = {
		.names = { "export-close", "export" },
		.run = run_export,
		.batches = 10,
		.runs = 200,
	};
	struct twins twins;

	twins_open(&twins, "IVSHMEM", "IVSHMEM2");
	measure(&export, &twins.ours, NULL);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("mapping");
	TCase *tc = add_group(s, "one page");

	tcase_add_test(tc, page);
	tcase_add_test(tc, export);
	return s;
}
