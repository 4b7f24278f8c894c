// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "disk.h"

#include <fcntl.h>
#include <unistd.h>

#include "kernel.h"
#include "suite.h"
#include "sysfs.h"

int disk_open(int flags)
{
	int fd;

	module_load("nvme");
	driver_bind(lab_bdf("NVME"), "nvme");
	/* It finds the namespace later; the test's time limit ends this. */
	while ((fd = open(DISK, flags | O_CLOEXEC)) < 0)
		usleep(10000);
	return fd;
}

void disk_close(int fd)
{
	ck_assert_works(fsync(fd));
	close(fd);
	driver_rebind(lab_bdf("NVME"));
}

void disk_fill(uint64_t *words, size_t length)
{
	for (size_t i = 0; i < length / sizeof(words[0]); i++)
		words[i] = (i + 1) * 0x9e3779b97f4a7c15ULL;
}

void disk_fill_offsets(uint64_t *words, uint64_t at, size_t length)
{
	for (size_t i = 0; i < length / sizeof(words[0]); i++)
		words[i] = (at + i * sizeof(words[0])) & ~0xfffULL;
}

void disk_check_same(const char *disk, const char *wanted, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (disk[i] != wanted[i])
			ck_abort_msg("byte %zu of the drive is %#x, not %#x", i, disk[i] & 0xff, wanted[i] & 0xff);
}
