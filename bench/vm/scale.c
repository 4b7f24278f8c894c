// SPDX-License-Identifier: MIT
/*
 * The cost of listing, revoking and suspending with one slice, a thousand and a hundred
 * thousand, on three devices of one model.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "device.h"
#include "sample.h"
#include "slice.h"
#include "suite.h"

#define BAR	2
#define PAGE	4096UL
#define PAGES	4096	/* of the smallest of the BARs */
#define SOME	1000
#define MANY	100000

struct crowd {
	struct device dev;
	unsigned int slices;
	/* The command register, with memory off and on. */
	off_t command_at;
	uint16_t off, on;
};

static struct crowd one, some, many;

static void fill(struct crowd *crowd, const char *name, unsigned int slices)
{
	struct vfio_region_dma_range range = { 0, PAGE };

	device_open(&crowd->dev, name);
	/* A failed check is cheap, one that holds is not: it writes a file. */
	for (unsigned int i = 0; i < slices; i++) {
		range.offset = i % PAGES * PAGE;
		if (slice_export(&crowd->dev, BAR, O_RDWR | O_CLOEXEC, &range, 1) < 0)
			ck_abort_msg("export %u: %s", i, strerror(errno));
	}
	crowd->slices = slices;
	crowd->command_at = device_region(&crowd->dev, VFIO_PCI_CONFIG_REGION_INDEX).offset + PCI_COMMAND;
	crowd->on = config_read(&crowd->dev, PCI_COMMAND, 2) | PCI_COMMAND_MEMORY;
	crowd->off = crowd->on & ~PCI_COMMAND_MEMORY;
}

static void setup(void)
{
	const struct rlimit limit = { MANY + SOME + 1000, MANY + SOME + 1000 };

	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	fill(&one, "IVSHMEM_BIG", 1);
	fill(&some, "IVSHMEM2", SOME);
	printf("# exporting %d slices\n", MANY);
	fill(&many, "IVSHMEM", MANY);
}

/* ---- listing: all of them, as the library does; a thousandth of a count is for one ---- */

#define LIST_PAGE 1024

static void run_list(const void *side, uint64_t *counts)
{
	static struct vfio_dmabuf_buffer buffers[LIST_PAGE];
	const struct crowd *crowd = side;
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_list list;
	} request = {
		.feature.argsz = sizeof(request),
		.feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST,
		.list = { .buffers = (uintptr_t)buffers, .size = sizeof(buffers[0]) },
	};
	unsigned int nr = 0;
	uint64_t begin = instructions();

	for (;;) {
		request.list.nr = LIST_PAGE;
		if (ioctl(crowd->dev.fd, VFIO_DEVICE_FEATURE, &request))
			ck_abort_msg("list: %s", strerror(errno));
		if (!request.list.nr)
			break;
		nr += request.list.nr;
		request.list.after = buffers[request.list.nr - 1].id;
	}
	counts[0] = (instructions() - begin) * 1000 / nr;
	if (nr != crowd->slices)
		ck_abort_msg("%u of %u slices were listed", nr, crowd->slices);
}

START_TEST(list)
{
	const struct measurement m = {
		.names = { "list" },
		.run = run_list,
		.batches = 3,
		.runs = 3,
		.each = 1000,
	};

	measure(&m, &many, &some);
}
END_TEST

/* ---- revoking one more, which is mapped and in use ---- */

static void run_revoke(const void *side, uint64_t *counts)
{
	const struct vfio_region_dma_range range = { 100 * PAGE, PAGE };
	const struct crowd *crowd = side;
	int fd = slice_export(&crowd->dev, BAR, O_RDWR | O_CLOEXEC, &range, 1), ret;
	char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t begin;

	if (fd < 0 || map == MAP_FAILED)
		ck_abort_msg("a slice: %s", strerror(errno));
	(void)*(volatile uint32_t *)map;
	begin = instructions();
	ret = slice_revoke(&crowd->dev, fd);
	counts[0] = instructions() - begin;
	if (ret)
		ck_abort_msg("revoke: %s", strerror(errno));
	munmap(map, PAGE);
	close(fd);
}

/* ---- switching the device's memory off and on ---- */

static void run_suspend(const void *side, uint64_t *counts)
{
	const struct crowd *crowd = side;
	uint64_t begin = instructions();

	if (pwrite(crowd->dev.fd, &crowd->off, 2, crowd->command_at) != 2 ||
	    pwrite(crowd->dev.fd, &crowd->on, 2, crowd->command_at) != 2)
		ck_abort_msg("config space: %s", strerror(errno));
	counts[0] = instructions() - begin;
}

static void measure_both(const char *with_some, const char *with_many,
			 void (*run)(const void *side, uint64_t *counts))
{
	struct measurement m = {
		.names = { with_some },
		.run = run,
		.batches = 10,
		.runs = 20,
	};

	measure(&m, &some, &one);
	m.names[0] = with_many;
	measure(&m, &many, &one);
}

START_TEST(revoke_and_suspend)
{
	measure_both("revoke-1000", "revoke-100000", run_revoke);
	measure_both("suspend-1000", "suspend-100000", run_suspend);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("scale");
	TCase *tc = add_group(s, "slices");

	/* Once, in the parent of the tests: a child inherits the devices. */
	tcase_add_unchecked_fixture(tc, setup, NULL);
	tcase_add_test(tc, list);
	tcase_add_test(tc, revoke_and_suspend);
	return s;
}
