/* SPDX-License-Identifier: MIT */
/* An importer: it lets edu's engine read and write the slices that come. */
#ifndef STRESS_DMA_H
#define STRESS_DMA_H

#include <stdint.h>

/* The process; until the end of the run. */
void dma_run(unsigned int worker, uint64_t seed) __attribute__((noreturn));

#endif
