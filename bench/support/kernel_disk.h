/* SPDX-License-Identifier: MIT */
/* Reads of a disk through the kernel: pread(), and io_uring. */
#ifndef BENCH_KERNEL_DISK_H
#define BENCH_KERNEL_DISK_H

#include <stdint.h>

#define DISK_READ	4096u

/* Binds the device of the lab to the kernel's NVMe driver. */
void disk_open(const char *name);
/* Gives the device back. */
void disk_close(const char *name);

void disk_pread(uint64_t offset);
/* @nr reads at once, of blocks that follow each other; at most 32. */
void disk_uring(uint64_t offset, unsigned int nr);

#endif
