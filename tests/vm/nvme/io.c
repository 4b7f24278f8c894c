// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "io.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

uint32_t io_wait(struct vdb_nvme *queue)
{
	struct vdb_nvme_completion completion;
	int nr;

	while (!(nr = vdb_nvme_poll(queue, &completion, 1)))
		sched_yield();
	ck_assert_int_eq(nr, 1);
	return completion.status;
}

void io_check(struct vdb_nvme *queue)
{
	const struct vdb_nvme_namespace *space = vdb_nvme_namespace(queue, 0);
	uint64_t block = rand() % 1000;
	size_t size;
	char *data = vdb_nvme_data(queue, &size);

	for (unsigned int i = 0; i < space->block_size; i++)
		data[i] = rand();
	ck_assert_works(vdb_nvme_write(queue, space->id, block, 1, data, 1));
	ck_assert_uint_eq(io_wait(queue), 0);
	ck_assert_works(vdb_nvme_read(queue, space->id, block, 1, data + space->block_size, 2));
	ck_assert_uint_eq(io_wait(queue), 0);
	ck_assert_int_eq(memcmp(data, data + space->block_size, space->block_size), 0);
}
