/* SPDX-License-Identifier: MIT */
/* The edu device as owner of DMA: it copies between its buffer and memory at an IOVA. */
#ifndef TESTS_EDU_DMA_H
#define TESTS_EDU_DMA_H

#include <stdint.h>
#include <vfio-dmabuf.h>

/* The registers of an edu that is open, mapped; it may do DMA from then on. */
void *edu_start(const struct vdb_device *device);
/*
 * Copies, and waits until the device says that it is done.  What is longer than the device's
 * buffer is copied in parts: to memory, each is what the buffer has; from memory, the last
 * one stays in the buffer.
 */
void edu_to_memory(void *registers, uint64_t iova, uint32_t length);
void edu_from_memory(void *registers, uint64_t iova, uint32_t length);
/* The first of these, of at most EDU_BUFFER_SIZE bytes, as two calls: the device copies 100 ms after it was started. */
void edu_start_to_memory(void *registers, uint64_t iova, uint32_t length);
void edu_wait(void *registers);

#endif
