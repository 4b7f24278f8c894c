// SPDX-License-Identifier: MIT
/* The edu device as owner of DMA. */
#define _GNU_SOURCE
#include "edu_dma.h"

#include <sys/mman.h>
#include <time.h>

#include "edu.h"
#include "page.h"
#include "suite.h"

void *edu_start(const struct vdb_device *device)
{
	const struct vdb_range page = { 0, PAGE };
	struct vdb_slice *slice = vdb_slice_export(device, 0, &page, 1, 0);
	void *registers;

	ck_assert_msg(slice, "export: %s", strerrorname_np(errno));
	registers = vdb_slice_map(slice, 0, 0, PROT_READ | PROT_WRITE);
	ck_assert_ptr_nonnull(registers);
	vdb_slice_free(slice);
	ck_assert_works(vdb_device_set_bus_master(device, true));
	return registers;
}

static void start(char *registers, uint64_t source, uint64_t destination, uint32_t length, uint32_t how)
{
	vdb_write64(registers + EDU_DMA_SOURCE, source);
	vdb_write64(registers + EDU_DMA_DESTINATION, destination);
	vdb_write64(registers + EDU_DMA_COUNT, length);
	vdb_write64(registers + EDU_DMA_COMMAND, EDU_DMA_START | how);
}

/* The device takes 100 ms, and says when it is done; there is no other way to know. */
void edu_wait(void *registers)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	while (vdb_read64((char *)registers + EDU_DMA_COMMAND) & EDU_DMA_START)
		nanosleep(&pause, NULL);
}

void edu_start_to_memory(void *registers, uint64_t iova, uint32_t length)
{
	start(registers, EDU_BUFFER, iova, length, EDU_DMA_FROM_DEVICE);
}

static uint32_t part_of(uint32_t length)
{
	return length < EDU_BUFFER_SIZE ? length : EDU_BUFFER_SIZE;
}

void edu_to_memory(void *registers, uint64_t iova, uint32_t length)
{
	for (uint32_t part; length; iova += part, length -= part) {
		part = part_of(length);
		edu_start_to_memory(registers, iova, part);
		edu_wait(registers);
	}
}

void edu_from_memory(void *registers, uint64_t iova, uint32_t length)
{
	for (uint32_t part; length; iova += part, length -= part) {
		part = part_of(length);
		start(registers, iova, EDU_BUFFER, part, 0);
		edu_wait(registers);
	}
}
