// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "lent.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "owner.h"
#include "suite.h"

#define FIRST_FD	3
#define FDS		3	/* of a lease: doorbells, their events, memory */

struct nvme *lender_nvme;
static struct vdb_dma *dma;

void lent_open(const char *name)
{
	char error[VDB_ERROR_SIZE];

	owner_open(name);
	dma = vdb_dma_from_device(owner, error);
	ck_assert_msg(dma, "%s", error);
	lender_nvme = nvme_start(owner, dma, error);
	ck_assert_msg(lender_nvme, "%s", error);
}

void lent_close(void)
{
	ck_assert_msg(!nvme_stop(lender_nvme), "%s", nvme_error(lender_nvme));
	nvme_free(lender_nvme);
	vdb_dma_close(dma);
	vdb_device_close(owner);
}

void lent_create(struct lent *lent, unsigned int qid, unsigned int depth, uint64_t data)
{
	const struct nvme_queue_options options = { .entries = depth + 1, .eventfd = -1 };

	lent->qid = qid;
	lent->doorbells = owner_export(0, 0x1000, 0x1000, 0);
	ck_assert_works(vdb_slice_watch(owner, lent->doorbells));
	lent->memory = vdb_memory_alloc(dma, nvme_queue_memory(options.entries, data), 0);
	ck_assert_msg(lent->memory, "%s", vdb_dma_error(dma));
	ck_assert_msg(!nvme_queue_create(lender_nvme, qid, lent->memory, &options), "%s",
		      nvme_error(lender_nvme));
}

void lent_end(struct lent *lent)
{
	ck_assert_works(vdb_slice_revoke(owner, lent->doorbells));
	ck_assert_msg(!nvme_queue_delete(lender_nvme, lent->qid, lent->memory), "%s", nvme_error(lender_nvme));
	ck_assert_works(vdb_dma_revoke(dma, lent->memory));
	vdb_slice_free(lent->doorbells);
	vdb_slice_free(lent->memory);
}

static json_t *describe(const struct lent *lent, int fd)
{
	const struct vdb_slice *doorbells = lent->doorbells;

	return json_pack("{s:s,s:i,s:i,s:i,s:s,s:i,s:I,s:I,s:b,s:b,s:{s:i,s:I,s:I}}",
			 "name", "nvme/queue", "index", lent->qid - 1,
			 "fd", fd, "event_fd", fd + 1,
			 "bdf", vdb_slice_bdf(doorbells), "bar", vdb_slice_bar(doorbells),
			 "offset", (json_int_t)vdb_slice_offset(doorbells),
			 "length", (json_int_t)vdb_slice_length(doorbells),
			 "read_only", 0, "write_combining", 0,
			 "memory", "fd", fd + 2, "iova", (json_int_t)vdb_slice_iova(lent->memory),
			 "length", (json_int_t)vdb_slice_length(lent->memory));
}

void lent_pass(const struct lent *lent, unsigned int nr)
{
	json_t *list = json_array();
	char number[16];
	int high[nr][FDS];

	for (unsigned int i = 0; i < nr; i++) {
		const int fds[FDS] = { vdb_slice_fd(lent[i].doorbells), vdb_slice_event_fd(lent[i].doorbells),
				       vdb_slice_fd(lent[i].memory) };

		/* Their numbers must not be those of our other fds. */
		for (int j = 0; j < FDS; j++)
			high[i][j] = fcntl(fds[j], F_DUPFD_CLOEXEC, 100);
		json_array_append_new(list, describe(&lent[i], FIRST_FD + FDS * i));
	}
	for (unsigned int i = 0; i < nr; i++)
		for (int j = 0; j < FDS; j++)
			if (high[i][j] < 0 || dup2(high[i][j], FIRST_FD + FDS * i + j) < 0)
				_exit(1);
	setenv("VFIO_DMABUF_SLICES", json_dumps(list, JSON_COMPACT), 1);
	snprintf(number, sizeof(number), "%u", FDS * nr);
	setenv("VFIO_DMABUF_FDS", number, 1);
	json_decref(list);
}
