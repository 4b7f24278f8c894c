/* SPDX-License-Identifier: MIT */
/*
 * The driver of NVMe controllers: each lease with memory gets a queue pair of its own in that
 * memory.  The slice is the page of doorbells, which all leases share.  drivers/nvme does the
 * work; a queue pair's tag is the id of its lease.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "drivers/nvme/nvme.h"
#include "driver.h"

static bool failed(struct nvme *nvme, char *why, size_t size)
{
	snprintf(why, size, "%.180s", nvme_error(nvme));
	return false;
}

/*
 * Stored before there is a lease.  If this process is killed earlier, the next one starts
 * the controller again.
 */
static bool start(struct driven *driven, char *why, size_t size)
{
	char error[VDB_ERROR_SIZE];

	if (!driven->dma) {
		snprintf(why, size, "driver nvme needs an IOMMU");
		return false;
	}
	driven->own = nvme_start(driven->device, driven->dma, error);
	if (!driven->own) {
		snprintf(why, size, "%.180s", error);
		return false;
	}
	if (!driven_store(driven, nvme_fd(driven->own)))
		return true;
	snprintf(why, size, "the service manager did not store it: %s", strerror(errno));
	return false;
}

static bool is_of_lease(const struct lent *leases, size_t nr, uint64_t id)
{
	for (size_t i = 0; i < nr; i++)
		if (leases[i].id == id)
			return true;
	return false;
}

/* The former process died before their leases were saved. */
static bool delete_others(struct nvme *nvme, const struct lent *leases, size_t nr)
{
	for (unsigned int qid = 1; qid <= nvme_max_queues(nvme); qid++)
		if (nvme_queue_exists(nvme, qid) && !is_of_lease(leases, nr, nvme_queue_tag(nvme, qid)) &&
		    nvme_queue_delete(nvme, qid, NULL))
			return false;
	return true;
}

static void end_all(const struct lent *leases, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (leases[i].memory >= 0)
			nvme_queue_end(leases[i].memory);
}

static bool adopt(struct driven *driven, int stored, const struct lent *leases, size_t nr,
		  char *why, size_t size)
{
	char error[VDB_ERROR_SIZE];

	if (stored >= 0 && driven->dma)
		driven->own = nvme_adopt(driven->device, driven->dma, stored, error);
	if (driven->own)
		return delete_others(driven->own, leases, nr) || failed(driven->own, why, size);
	if (stored >= 0)
		close(stored);
	/* The leases have lost their queue pairs.  Their clients see that in their memory. */
	if (!start(driven, why, size))
		return false;
	end_all(leases, nr);
	return true;
}

/* A reset ends all queue pairs, so it is done only when there are none. */
static bool reset_if_idle(struct driven *driven, char *why, size_t size)
{
	for (unsigned int qid = 1; qid <= nvme_max_queues(driven->own); qid++)
		if (nvme_queue_exists(driven->own, qid))
			return true;
	return !nvme_reset(driven->own) || failed(driven->own, why, size);
}

static bool prepare(struct driven *driven, const struct slice *slices, size_t nr, bool reset,
		    char *why, size_t size)
{
	(void)slices, (void)nr;
	return !reset || reset_if_idle(driven, why, size);
}

static bool lease_begin(struct driven *driven, const struct lent *lease, char *why, size_t size)
{
	const struct nvme_queue_options options = {
		.entries = lease->slice->depth + 1, .eventfd = lease->interrupt, .tag = lease->id,
	};
	unsigned int qid;

	if (!lease->length)
		return true;
	qid = nvme_queue_find(driven->own, 0);
	if (!qid) {
		snprintf(why, size, "all %u queue pairs of the controller are in use",
			 nvme_max_queues(driven->own));
		return false;
	}
	return !nvme_queue_create_at(driven->own, qid, lease->address, lease->iova, lease->length, &options) ||
	       failed(driven->own, why, size);
}

static bool lease_end(struct driven *driven, const struct lent *lease, bool reset, char *why, size_t size)
{
	unsigned int qid = nvme_queue_find(driven->own, lease->id);

	if (qid && nvme_queue_delete(driven->own, qid, NULL))
		return failed(driven->own, why, size);
	/* If it fails, the client learns the end from its connection. */
	if (lease->memory >= 0)
		nvme_queue_end(lease->memory);
	return !reset || reset_if_idle(driven, why, size);
}

static void close_it(struct driven *driven, bool leaves)
{
	if (driven->own && !leaves)
		nvme_stop(driven->own);
	nvme_free(driven->own);
	driven->own = NULL;
}

const struct driver driver_nvme = {
	.name = "nvme",
	.open = start,
	.adopt = adopt,
	.prepare = prepare,
	.lease_begin = lease_begin,
	.lease_end = lease_end,
	.close = close_it,
};
