/* SPDX-License-Identifier: MIT */
/* Two devices of one model, one driven by stock vfio-pci, the other by ours. */
#ifndef BENCH_TWINS_H
#define BENCH_TWINS_H

#include <stdint.h>

#include "device.h"

struct twins {
	struct device ours, stock;
};

/* Binds and opens the devices of these names in the lab. */
void twins_open(struct twins *twins, const char *ours, const char *stock);

/* Part of a BAR, as mmap() wants it: of the device fd, or of a slice's. */
struct part {
	int fd;
	int64_t offset;
	uint64_t length;
};

struct part part_of_bar(const struct device *dev, uint32_t bar,
			uint64_t offset, uint64_t length);

#endif
