/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "common/fds.h"
#include "common/hole.h"
#include "memory.h"

static int copy_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool has_no_space(struct held *held, const char *why)
{
	held->facts.memory = false;
	snprintf(held->facts.no_memory, sizeof(held->facts.no_memory), "%.120s", why);
	return true;
}

/* Ours stays when the device is closed. */
static bool take_space(struct held *held, char *why, size_t size)
{
	char error[VDB_ERROR_SIZE];

	held->dma = vdb_dma_from_fd(held->iommu, held->ioas, error);
	held->facts.memory = held->dma;
	if (held->dma)
		return true;
	snprintf(why, size, "its IO address space: %.150s", error);
	return false;
}

bool memory_open(struct held *held, char *why, size_t size)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_dma *dma = vdb_dma_from_device(held->device, error);

	memory_leave(held);
	if (!dma)
		return has_no_space(held, error);
	held->ioas = vdb_dma_ioas(dma);
	vdb_dma_close(dma);
	held->iommu = copy_fd(vdb_device_iommu_fd(held->device));
	if (held->iommu < 0) {
		snprintf(why, size, "its IO address space: %s", strerror(errno));
		return false;
	}
	if (!take_space(held, why, size))
		return false;
	if (!held->store->put_dma(held->store->data, held->bdf, held->ioas, held->iommu))
		return true;
	snprintf(why, size, "the service manager did not store its IO address space: %s",
		 strerror(errno));
	return false;
}

/* Whether it is what a lease of this length was given: sealed, and as long. */
static bool fits(const struct lent_memory *memory)
{
	int fd = copy_fd(memory->fd);
	struct vdb_slice *slice = fd < 0 ? NULL : vdb_memory_from_fd(fd, memory->iova, 0);
	bool ok = slice && vdb_slice_length(slice) == memory->length;

	if (slice)
		vdb_slice_free(slice);
	else
		fd_close(fd);
	return ok;
}

bool memory_adopt(struct held *held, char *why, size_t size)
{
	if (held->iommu < 0 && held->nr_memories) {
		snprintf(why, size, "the service manager has lost its IO address space, in which leases have memory");
		return false;
	}
	if (held->iommu < 0)
		return has_no_space(held, "the device has no IOMMU, or the service manager has lost its IO address space");
	if (!take_space(held, why, size))
		return false;
	for (size_t i = 0; i < held->nr_memories; i++) {
		struct lent_memory *memory = &held->memories[i];

		/* Treated as lost: it is not the memory that the device has mapped. */
		if (memory->fd >= 0 && !fits(memory))
			fds_close(&memory->fd, 1);
		if (!vdb_dma_reserve(held->dma, memory->iova, memory->length))
			continue;
		snprintf(why, size, "the memory of lease %llu: %.150s",
			 (unsigned long long)memory->lease, vdb_dma_error(held->dma));
		return false;
	}
	return true;
}

bool memory_settle(struct held *held, char *why, size_t size)
{
	if (!held->dma || !vdb_dma_unmap_unknown(held->dma))
		return true;
	snprintf(why, size, "memory that no lease has cannot be unmapped: %.120s",
		 vdb_dma_error(held->dma));
	return false;
}

static struct lent_memory *find(const struct held *held, uint64_t lease)
{
	for (size_t i = 0; i < held->nr_memories; i++)
		if (held->memories[i].lease == lease)
			return &held->memories[i];
	return NULL;
}

const struct lent_memory *memory_of(const struct held *held, uint64_t lease)
{
	return find(held, lease);
}

/* New memory, as the next of held->memories. */
static bool allocate(struct held *held, const struct job *job, char *why, size_t size)
{
	struct vdb_slice *slice = vdb_memory_alloc(held->dma, job->slice.memory, VDB_FLAG_HUGE);
	struct lent_memory *memory = &held->memories[held->nr_memories];

	if (!slice) {
		snprintf(why, size, "%.60s: %.120s", job->slice.name, vdb_dma_error(held->dma));
		return false;
	}
	/* From now on it is known, and unmapped if something fails. */
	*memory = (struct lent_memory){
		.lease = job->event.lease,
		.index = job->index,
		.fd = copy_fd(vdb_slice_fd(slice)),
		.iova = vdb_slice_iova(slice),
		.length = vdb_slice_length(slice),
	};
	held->nr_memories++;
	vdb_slice_free(slice);
	if (memory->fd >= 0 &&
	    !held->store->put_memory(held->store->data, memory->lease, memory->fd))
		return true;
	snprintf(why, size, "%.60s: the service manager did not store its memory: %s",
		 job->slice.name, strerror(errno));
	return false;
}

const struct lent_memory *memory_allocate(struct held *held, const struct job *job, char *why,
					  size_t size)
{
	struct lent_memory *memories;

	if (!held->dma) {
		snprintf(why, size, "%.60s: memory: %.110s", job->slice.name, held->facts.no_memory);
		return NULL;
	}
	memories = reallocarray(held->memories, held->nr_memories + 1, sizeof(*memories));
	if (!memories) {
		snprintf(why, size, "%.60s: %s", job->slice.name, strerror(errno));
		return NULL;
	}
	held->memories = memories;
	return allocate(held, job, why, size) ? &memories[held->nr_memories - 1] : NULL;
}

/*
 * It is unmapped.  The client can keep the memfd as long as it wants.  The pages are freed
 * here, because they count for the broker's cgroup, where no limit counts them any more.
 */
static void forget(struct held *held, struct lent_memory *memory)
{
	hole_make(memory->fd);
	/* If this fails, the next process removes it from the store. */
	held->store->remove_memory(held->store->data, memory->lease);
	fds_close(&memory->fd, 1);
	*memory = held->memories[--held->nr_memories];
}

bool memory_free(struct held *held, uint64_t lease, char *why, size_t size)
{
	struct lent_memory *memory = find(held, lease);

	if (!memory)
		return true;
	/* A former process can have unmapped it. */
	if (vdb_dma_unmap(held->dma, memory->iova, memory->length) && errno != ENOENT) {
		snprintf(why, size, "the memory of lease %llu: %.150s", (unsigned long long)lease,
			 vdb_dma_error(held->dma));
		return false;
	}
	forget(held, memory);
	return true;
}

void memory_close(struct held *held)
{
	while (held->nr_memories) {
		struct lent_memory *memory = &held->memories[held->nr_memories - 1];

		/*
		 * The device has left the IO address space.  That of a container is empty then,
		 * and fails to unmap.
		 */
		if (held->dma)
			vdb_dma_unmap(held->dma, memory->iova, memory->length);
		forget(held, memory);
	}
	memory_leave(held);
}

void memory_leave(struct held *held)
{
	for (size_t i = 0; i < held->nr_memories; i++)
		fds_close(&held->memories[i].fd, 1);
	free(held->memories);
	held->memories = NULL;
	held->nr_memories = 0;
	vdb_dma_close(held->dma);
	held->dma = NULL;
	fds_close(&held->iommu, 1);
	held->ioas = 0;
}
