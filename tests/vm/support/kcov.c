// SPDX-License-Identifier: MIT
/* Which code of the driver a process has run. */
#define _GNU_SOURCE
#include "kcov.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcov.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "callsites.h"
#include "suite.h"
#include "sysfs.h"

#define KCOV	"/sys/kernel/debug/kcov"
/* Addresses of one recording; those that come later are lost. */
#define ROOM	(64 << 10)

static int fd = -1;
static uint64_t *area;

const char *kcov_missing(void)
{
	struct callsite *sites;
	size_t nr, i;

	if (access(KCOV, R_OK | W_OK))
		return "this kernel has no KCOV";
	if (!callsites_read(module_file(DRIVER), &sites, &nr))
		return "the driver's file cannot be read";
	for (i = 0; i < nr && strcmp(sites[i].callee, "__sanitizer_cov_trace_pc"); i++)
		;
	free(sites);
	return i < nr ? NULL : "the driver is built without COVERAGE=1";
}

void kcov_open(void)
{
	fd = open(KCOV, O_RDWR | O_CLOEXEC);
	ck_assert_works(fd);
	ck_assert_works(ioctl(fd, KCOV_INIT_TRACE, (unsigned long)ROOM));
	area = mmap(NULL, ROOM * sizeof(*area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(area, MAP_FAILED);
}

void kcov_start(void)
{
	__atomic_store_n(&area[0], 0, __ATOMIC_RELAXED);
	ck_assert_works(ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC));
}

void kcov_stop(void)
{
	ck_assert_works(ioctl(fd, KCOV_DISABLE, 0));
}

size_t kcov_read(const uint64_t **addresses)
{
	*addresses = area + 1;
	return __atomic_load_n(&area[0], __ATOMIC_RELAXED);
}
