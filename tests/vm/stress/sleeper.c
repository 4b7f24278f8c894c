// SPDX-License-Identifier: MIT
/* Puts the system to sleep, with the kernel's test mode. */
#define _GNU_SOURCE
#include "sleeper.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "random.h"
#include "sysfs.h"

#define LEVEL	"/sys/power/pm_test"
#define STATE	"/sys/power/state"
/* Seconds that the test stays there. */
#define DELAY	"/sys/module/suspend/parameters/pm_test_delay"

const char *sleeper_missing(void)
{
	if (access(LEVEL, W_OK))
		return "this kernel has no " LEVEL;
	return NULL;
}

static void nap(const char *level)
{
	unsigned int device;
	int error = 0;

	if (file_write(LEVEL, level))
		error = errno;
	for (device = 0; device < NR_STRESS_DEVICES; device++)
		suspension_begin(device);
	operation_begin(level[0] == 'f' ? OP_SLEEP_FREEZER : OP_SLEEP_DEVICES);
	if (!error && file_write(STATE, "mem"))
		error = errno;
	operation_end();
	for (device = 0; device < NR_STRESS_DEVICES; device++)
		suspension_end(device);
	/* EBUSY: something was about to wake the system. */
	if (error && error != EBUSY)
		board_fail(FAILED_ERRNO, "system sleep (%s): %s", level, strerrorname_np(error));
}

void sleeper_run(uint64_t seed)
{
	struct random random = { seed };

	operation_worker(WORKER_SLEEPER);
	file_write(DELAY, "0");
	while (!board->stop) {
		/* Each takes a second or two, in which no other process runs. */
		usleep(1000000 + random_below(&random, 10000000));
		if (!board->stop)
			nap(random_chance(&random, 50) ? "freezer" : "devices");
	}
	file_write(LEVEL, "none");
	_exit(0);
}
