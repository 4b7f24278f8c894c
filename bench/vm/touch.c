// SPDX-License-Identifier: MIT
/* The number and the cost of faults when a mapping is accessed for the first time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sample.h"
#include "slice.h"
#include "suite.h"
#include "twins.h"

#define BAR 2
#define PAGE 4096UL
#define BLOCK (2UL << 20)	/* what one page table maps */
#define BAR_SIZE (16UL << 20)

/* Aligned to a block, with nothing near. */
#define FREE ((char *)(16UL << 40))

struct side {
	struct part part;
	char *address;		/* NULL: the kernel chooses */
};

static void run_touch(const void *what, uint64_t *counts)
{
	const struct side *side = what;
	const struct part *part = &side->part;
	uint64_t begin, faults_before;
	char *map;
	size_t at;

	map = mmap(side->address, part->length, PROT_READ | PROT_WRITE,
		   MAP_SHARED | (side->address ? MAP_FIXED_NOREPLACE : 0),
		   part->fd, part->offset);
	if (map == MAP_FAILED)
		ck_abort_msg("mmap: %s", strerror(errno));

	faults_before = faults();
	begin = instructions();
	for (at = 0; at < part->length; at += PAGE)
		(void)*(volatile uint32_t *)(map + at);
	counts[1] = instructions() - begin;
	counts[0] = faults() - faults_before;
	munmap(map, part->length);
}

/* 2 MiB less a page, not aligned to a block in the BAR. */
START_TEST(unaligned)
{
	struct measurement m = {
		.run = run_touch,
		.batches = 5,
		.runs = 10,
	};
	struct side ours, stock, slice;
	struct twins twins;

	twins_open(&twins, "IVSHMEM", "IVSHMEM2");
	ours = (struct side){ part_of_bar(&twins.ours, BAR, PAGE, BLOCK - PAGE), NULL };
	stock = (struct side){ part_of_bar(&twins.stock, BAR, PAGE, BLOCK - PAGE), NULL };
	slice = (struct side){
		{ slice_new(&twins.ours, BAR, PAGE, BLOCK - PAGE), 0, BLOCK - PAGE },
		NULL,
	};

	m.names[0] = "unaligned-faults";
	m.names[1] = "unaligned";
	measure(&m, &ours, &stock);

	m.names[0] = "unaligned-slice-faults";
	m.names[1] = "unaligned-slice";
	measure(&m, &slice, &stock);

	/* All in one block of addresses. */
	ours.address = stock.address = FREE + PAGE;
	m.names[0] = "unaligned-one-block-faults";
	m.names[1] = "unaligned-one-block";
	measure(&m, &ours, &stock);

	/* A block boundary in the middle. */
	ours.address = stock.address = FREE + BLOCK / 2;
	m.names[0] = "unaligned-two-blocks-faults";
	m.names[1] = "unaligned-two-blocks";
	measure(&m, &ours, &stock);
}
END_TEST

START_TEST(aligned)
{
	const struct measurement m = {
		.names = { "aligned-16M-faults", "aligned-16M" },
		.run = run_touch,
		.batches = 5,
		.runs = 10,
	};
	struct side ours, stock;
	struct twins twins;

	twins_open(&twins, "IVSHMEM", "IVSHMEM2");
	ours = (struct side){ part_of_bar(&twins.ours, BAR, 0, BAR_SIZE), FREE };
	stock = (struct side){ part_of_bar(&twins.stock, BAR, 0, BAR_SIZE), FREE };
	measure(&m, &ours, &stock);
}
END_TEST

/* Every page of the BAR, the last one first, so that no two make one run. */
static int slice_of_single_pages(const struct device *dev, uint32_t nr)
{
	struct vfio_region_dma_range *ranges = calloc(nr, sizeof(*ranges));
	uint32_t i;
	int fd;

	ck_assert_ptr_nonnull(ranges);
	for (i = 0; i < nr; i++)
		ranges[i] = (struct vfio_region_dma_range){ (nr - 1 - i) * PAGE, PAGE };
	fd = slice_export(dev, BAR, O_RDWR | O_CLOEXEC, ranges, nr);
	ck_assert_msg(fd >= 0, "export of %u ranges: %s", nr, strerror(errno));
	free(ranges);
	return fd;
}

/* One page is filled in both cases; only the look-up differs. */
START_TEST(lookup)
{
	const struct measurement m = {
		.names = { "lookup-faults", "lookup" },
		.run = run_touch,
		.batches = 10,
		.runs = 200,
	};
	const uint32_t nr = BAR_SIZE / PAGE;
	struct side many, one;
	struct twins twins;

	twins_open(&twins, "IVSHMEM", "IVSHMEM2");
	many = (struct side){
		{ slice_of_single_pages(&twins.ours, nr), nr / 3 * PAGE, PAGE },
		NULL,
	};
	one = (struct side){
		{ slice_new(&twins.ours, BAR, 0, PAGE), 0, PAGE },
		NULL,
	};
	measure(&m, &many, &one);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("touch");
	TCase *tc = add_group(s, "first use");

	tcase_add_test(tc, unaligned);
	tcase_add_test(tc, aligned);
	tcase_add_test(tc, lookup);
	return s;
}
