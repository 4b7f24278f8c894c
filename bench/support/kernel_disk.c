// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "kernel_disk.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "suite.h"
#include "sysfs.h"

#define DISK	"/dev/nvme0n1"
#define ENTRIES	32u

static int disk = -1;
static char *buffers;

static struct {
	int fd;
	struct io_uring_sqe *sqes;
	uint32_t *sq_tail, *sq_array, *cq_head, *cq_tail;
	const struct io_uring_cqe *cqes;
	uint32_t sq_mask, cq_mask;
} ring;

static char *map_ring(uint64_t offset, size_t size)
{
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, offset);

	ck_assert_ptr_ne(map, MAP_FAILED);
	return map;
}

static void open_ring(void)
{
	struct io_uring_params params = { 0 };
	char *sq, *cq;

	ring.fd = syscall(SYS_io_uring_setup, ENTRIES, &params);
	ck_assert_works(ring.fd);
	sq = map_ring(IORING_OFF_SQ_RING, params.sq_off.array + params.sq_entries * sizeof(uint32_t));
	cq = map_ring(IORING_OFF_CQ_RING, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe));
	ring.sqes = (void *)map_ring(IORING_OFF_SQES, params.sq_entries * sizeof(struct io_uring_sqe));
	ring.sq_tail = (uint32_t *)(sq + params.sq_off.tail);
	ring.sq_array = (uint32_t *)(sq + params.sq_off.array);
	ring.sq_mask = *(uint32_t *)(sq + params.sq_off.ring_mask);
	ring.cq_head = (uint32_t *)(cq + params.cq_off.head);
	ring.cq_tail = (uint32_t *)(cq + params.cq_off.tail);
	ring.cq_mask = *(uint32_t *)(cq + params.cq_off.ring_mask);
	ring.cqes = (const struct io_uring_cqe *)(cq + params.cq_off.cqes);
}

void disk_open(const char *name)
{
	module_load("nvme");
	driver_bind(lab_bdf(name), "nvme");
	/* It finds the namespace later; the test's time limit ends this. */
	while ((disk = open(DISK, O_RDONLY | O_DIRECT | O_CLOEXEC)) < 0)
		usleep(10000);
	buffers = aligned_alloc(DISK_READ, ENTRIES * DISK_READ);
	ck_assert_ptr_nonnull(buffers);
	memset(buffers, 1, ENTRIES * DISK_READ);
	open_ring();
}

void disk_close(const char *name)
{
	close(ring.fd);
	close(disk);
	free(buffers);
	driver_rebind(lab_bdf(name));
}

void disk_pread(uint64_t offset)
{
	ck_assert_int_eq(pread(disk, buffers, DISK_READ, offset), DISK_READ);
}

void disk_uring(uint64_t offset, unsigned int nr)
{
	uint32_t tail = *ring.sq_tail, head = *ring.cq_head;

	for (unsigned int i = 0; i < nr; i++, tail++) {
		uint32_t index = tail & ring.sq_mask;

		ring.sqes[index] = (struct io_uring_sqe){
			.opcode = IORING_OP_READ,
			.fd = disk,
			.off = offset + i * DISK_READ,
			.addr = (uintptr_t)(buffers + i * DISK_READ),
			.len = DISK_READ,
			.user_data = i,
		};
		ring.sq_array[index] = index;
	}
	__atomic_store_n(ring.sq_tail, tail, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, nr, nr, IORING_ENTER_GETEVENTS, NULL, 0) != (long)nr)
		ck_abort_msg("io_uring_enter: %s", strerror(errno));
	for (unsigned int i = 0; i < nr; i++, head++) {
		if (head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) ||
		    ring.cqes[head & ring.cq_mask].res != (int)DISK_READ)
			ck_abort_msg("a read of io_uring has failed");
	}
	__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
}
