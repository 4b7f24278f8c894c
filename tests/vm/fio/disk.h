/* SPDX-License-Identifier: MIT */
/* The drive through the kernel's own NVMe driver, and what is on it. */
#ifndef TESTS_FIO_DISK_H
#define TESTS_FIO_DISK_H

#include <stddef.h>
#include <stdint.h>

#define DISK	"/dev/nvme0n1"

/* Gives the drive, which nobody else has open, to the kernel's driver; an fd of all of it. */
int disk_open(int flags);
/* All that was written is on it.  Gives the drive back to the driver that is tested. */
void disk_close(int fd);

/* Each word differs from all others. */
void disk_fill(uint64_t *words, size_t length);
/* As fio does it with --verify_pattern=%o: each block of 4 KiB has its offset. */
void disk_fill_offsets(uint64_t *words, uint64_t at, size_t length);
/* The test fails, and names the byte, if they differ. */
void disk_check_same(const char *disk, const char *wanted, size_t length);

#endif
