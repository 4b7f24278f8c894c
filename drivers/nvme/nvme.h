/* SPDX-License-Identifier: MIT */
/*
 * The owner of an NVMe controller: it makes queue pairs in memory that it lends, and deletes
 * them when a lease has ended.  Clients use <vfio-dmabuf-nvme.h>.
 *
 * Functions return 0, or -1 with errno and a text in nvme_error().  ENODEV: the controller
 * does not answer.  EIO: it has failed, and only nvme_reset() helps.  Every wait is bounded.
 * An object is for one thread at a time.
 */
#ifndef NVME_H
#define NVME_H

#include <stdbool.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

struct nvme;

/*
 * Starts the controller, whatever its state is.  This ends all queue pairs that it had.  @device and @dma stay open as long as the object.
 */
struct nvme *nvme_start(const struct vdb_device *device, struct vdb_dma *dma, char error[VDB_ERROR_SIZE]);

/*
 * A memfd with the state and the admin queues, which the object owns.  An owner that keeps a
 * copy over its own end, with the device and its IO address space, can continue.
 */
int nvme_fd(const struct nvme *nvme);

/*
 * Goes on with a controller that another process has started and was killed at any point.
 * @fd: from nvme_fd(); the object's after success, the caller's after failure.  @dma: does not
 * know the memory's IOVAs yet.  A command that was under way is finished.
 *
 * NULL with ESTALE: this is not possible, because the controller was reset, or has failed.
 * It does no DMA any more, and the memory of @fd is unmapped.  Use nvme_start().
 */
struct nvme *nvme_adopt(const struct vdb_device *device, struct vdb_dma *dma, int fd,
			char error[VDB_ERROR_SIZE]);

/* Leaves the controller and its memory as they are.  errno is kept. */
void nvme_free(struct nvme *nvme);

/*
 * Shuts the controller down, which makes its data permanent, and takes its memory away.  If it
 * fails, the controller does no DMA any more all the same.
 */
int nvme_stop(struct nvme *nvme);

/*
 * Resets the function and starts the controller.  This ends all queue pairs, also if the
 * call fails: nvme_queue_end() reports that to the clients.
 */
int nvme_reset(struct nvme *nvme);

/* Why the last call failed; never NULL. */
const char *nvme_error(const struct nvme *nvme);
/* Whether the controller still runs with our admin queue: it does not after a reset by others. */
bool nvme_is_running(struct nvme *nvme);

unsigned int nvme_max_queues(const struct nvme *nvme);	/* pairs, from 1 on */
unsigned int nvme_max_entries(const struct nvme *nvme);	/* of a queue */
/* Bytes between the doorbells of the SQ and the CQ. */
unsigned int nvme_doorbell_stride(const struct nvme *nvme);

/* The controller's memory buffer, if it can have submission queues; false: none. */
struct nvme_cmb {
	unsigned int bar;
	uint64_t offset;	/* in whole pages */
	uint64_t size;
};
bool nvme_cmb(const struct nvme *nvme, struct nvme_cmb *cmb);

struct nvme_queue_options {
	unsigned int entries;		/* of SQ and CQ; one command less can be outstanding */
	int eventfd;			/* -1: without interrupt */
	bool in_cmb;			/* the submission queue */
	uint64_t cmb_offset;		/* in the buffer, in whole pages */
	uint64_t tag;			/* the owner's name for it, which the state has; 0: none */
};

/* Bytes of memory for a queue pair with @data bytes of data, which must be whole pages. */
uint64_t nvme_queue_memory(unsigned int entries, uint64_t data);

/*
 * Makes queue pair @qid in memory that is all zeros and that no client has yet, and writes the
 * description for the client into it.  EINVAL: an option does not fit the controller.  EEXIST:
 * there is such a queue pair.
 */
int nvme_queue_create(struct nvme *nvme, unsigned int qid, const struct vdb_slice *memory,
		      const struct nvme_queue_options *options);
/* The same, of memory that is mapped into this process already. */
int nvme_queue_create_at(struct nvme *nvme, unsigned int qid, void *address, uint64_t iova, uint64_t length,
			 const struct nvme_queue_options *options);

/* Whether the controller has queue pair @qid, or a part of it. */
bool nvme_queue_exists(const struct nvme *nvme, unsigned int qid);

/* The queue pair with this tag; or, for tag 0, the first that does not exist.  0: none. */
unsigned int nvme_queue_find(const struct nvme *nvme, uint64_t tag);
/* 0: it has none, or does not exist. */
uint64_t nvme_queue_tag(const struct nvme *nvme, unsigned int qid);

/*
 * Deletes queue pair @qid, if there is one: first the SQ, then the CQ.  After success the
 * controller does not touch its memory any more.  @memory: for nvme_queue_end(); NULL: not
 * called.
 */
int nvme_queue_delete(struct nvme *nvme, unsigned int qid, const struct vdb_slice *memory);

/*
 * Reports to the client that its queue pair no longer exists.  @memory_fd: the memfd of its
 * memory.  To be called after nvme_queue_delete(), after a reset, and if the device is lost.
 * -1 with errno.
 */
int nvme_queue_end(int memory_fd);

#endif
