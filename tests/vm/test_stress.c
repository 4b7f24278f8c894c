// SPDX-License-Identifier: MIT
/*
 * All operations at once: owners of several devices, clients and importers make random
 * calls.  The kernel command line sets the time (lab.stress=<seconds>) and the seed
 * (lab.seed=<n>), which is printed.  Each access is checked: none may reach a device through
 * a slice whose revocation has returned. stress/ has the parts:
 *
 *	operations	the operations, counted and timed
 *	board		what all processes share
 *	checker		accesses, and their expected results
 *	keeper		an owner's process; exporter, disturber and inspector are its threads
 *	borrower	a client
 *	dma		an importer
 *	sleeper		the system's sleep
 *	nursery		starts and kills processes
 *	watchdog	operations that hang
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "importer.h"
#include "kernel.h"
#include "slice.h"
#include "stress/board.h"
#include "stress/nursery.h"
#include "stress/sleeper.h"
#include "stress/watchdog.h"
#include "suite.h"
#include "sysfs.h"

#define DEFAULT_SECONDS	10
#define PHASE_SECONDS	20

/* The number after a word of the kernel's command line, or @otherwise. */
static uint64_t number_of(const char *word, uint64_t otherwise)
{
	char line[4096], *found;

	if (file_read("/proc/cmdline", line, sizeof(line)) < 0)
		return otherwise;
	found = strstr(line, word);
	return found ? strtoull(found + strlen(word), NULL, 0) : otherwise;
}

static unsigned int seconds_to_run(void)
{
	return number_of("lab.stress=", DEFAULT_SECONDS);
}

/* Whether the driver lists buffers and finds them by id. */
static bool has_ids(void)
{
	struct device dev;
	int ret;

	device_open(&dev, "IVSHMEM");
	ret = device_feature(&dev, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			     VFIO_DMABUF_FEATURE_LIST);
	device_close(&dev);
	return !ret;
}

/* No process has a slice or a device any more, so the module can be unloaded. */
static void reload(void)
{
	static const char *const names[] = {
		"EDU", "EDU2", "IVSHMEM", "IVSHMEM2", "IVSHMEM_BIG", "E1000E", "HOT0", "HOT1",
		"NVME", "NVME2", "IGB",
	};
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	unsigned int tries = watchdog_patience() * 10, i;

	while (run_program("/usr/bin/rmmod", DRIVER, NULL)) {
		if (!tries--) {
			board_fail(FAILED_OTHER, "the module does not unload");
			return;
		}
		/* The kernel releases the last files some time after their processes. */
		nanosleep(&pause, NULL);
	}
	module_load(DRIVER);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (lab_find(names[i]) && !(board->importers && !strcmp(names[i], "EDU2")))
			driver_rebind(lab_bdf(names[i]));
	operation_count(OP_RELOAD, 1);
}

static void print_result(void)
{
	unsigned int i;

	for (i = 0; i < NR_OPERATIONS; i++)
		if (board->counts[i])
			printf("# %10lu %s\n", board->counts[i], operation_name(i));
	printf("# %lu revocations, %lu of them met a mapping in use (within 5 ms)\n", board->revocations,
	       board->in_use);
	for (i = 0; i < NR_FAILURES; i++)
		printf("# %u %s\n", board->failures[i], failure_name(i));
}

START_TEST(everything_at_once)
{
	unsigned int seconds = seconds_to_run(), left, phase;
	uint64_t seed = number_of("lab.seed=", time(NULL) ^ (uint64_t)getpid() << 32);
	const char *no_sleep = sleeper_missing();
	struct random random = { seed };

	board_create(seed);
	board->importers = !importers_missing();
	board->ids = has_ids();
	printf("# seed %#lx, %u seconds%s\n", seed, seconds, board->ids ? "" : ", no ids");
	board->still = kernel_started_with("lab.parallel");
	if (board->still)
		printf("# no resets, suspensions nor removal: QEMU with a thread for each processor ends itself\n");
	if (no_sleep)
		printf("# no system sleep: %s\n", no_sleep);
	for (left = seconds; left && !board->failed; left -= phase) {
		phase = left < 2 * PHASE_SECONDS ? left : PHASE_SECONDS;
		board->stop = false;
		nursery_run(&random, phase, !no_sleep && !board->still);
		board_forget_slices();
		if (!board->failed)
			reload();
	}
	print_result();
	ck_assert_msg(!board->failed, "%s", board->failure);
	ck_assert_uint_gt(board->revocations, 0);
	ck_assert_uint_gt(board->counts[OP_READ], 0);
}
END_TEST

static void setup(void)
{
	if (!importers_missing())
		importer_bind();
}

static void teardown(void)
{
	if (!importers_missing())
		importer_unbind();
}

Suite *suite(void)
{
	Suite *s = suite_create("stress");
	TCase *tc = add_group(s, "mix");

	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 2 * seconds_to_run() + 90);
	tcase_add_test(tc, everything_at_once);
	return s;
}
