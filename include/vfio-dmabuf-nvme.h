/* SPDX-License-Identifier: MIT */
/*
 * Block I/O of a client on an NVMe queue pair that it has leased.
 *
 * The owner of the controller has made the queue pair in a slice of memory, and lends
 * that memory and a slice with the doorbells.  The client needs no other right.  The
 * controller reads and writes the client's data in the lent memory: a program takes its
 * buffers from there (vdb_nvme_data()).
 *
 *	queue = vdb_nvme_open(doorbells, memory, NULL, error);
 *	buffer = vdb_nvme_data(queue, &size);
 *	vdb_nvme_read(queue, 1, 0, 8, buffer, 42);
 *	vdb_nvme_ring(queue);
 *	while (!vdb_nvme_poll(queue, &completion, 1))
 *		;
 *
 * The functions make no system call and take no lock, except vdb_nvme_open() and
 * vdb_nvme_close().  A queue is for one thread at a time.  Different queues are
 * independent.
 *
 * The program enables the guard first (vdb_guard_enable()), because the doorbells can be
 * revoked at any time.
 *
 * When the lease ends:
 *	1. the doorbells are revoked: the next vdb_nvme_ring() fails with ENODEV;
 *	2. the owner deletes the queue pair.  The controller does not access the memory any
 *	   more, and the owner writes that into the memory.  vdb_nvme_poll() then reports
 *	   all outstanding commands with VDB_NVME_LOST, and afterwards fails with ENODEV.
 *	   The controller can report some of them before that, with status 0x008 (the queue
 *	   was deleted), which means the same.
 * The same happens when the controller is reset or lost.  A lost write may have been
 * carried out, in whole or in part, or not.  The data of a lost read is not valid.
 *
 * After step 2 the owner can free the memory, and the broker does.  All of it is then
 * zeros, also the data of completed reads.  A program can read these zeros before it knows
 * of the end.  So copy the data, then call vdb_nvme_ring(), and use the copy only if that
 * succeeds.  If the memory has huge pages (vdb_slice_flags()) and none is left, an access
 * gets SIGBUS.
 *
 * As in <vfio-dmabuf.h>, functions return 0 (or what is stated), and -1 or NULL with
 * errno.  A failed call has changed nothing.  The functions are in libvfio-dmabuf-nvme.a,
 * which needs libvfio-dmabuf.
 */
#ifndef VFIO_DMABUF_NVME_H
#define VFIO_DMABUF_NVME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vdb_nvme;

/**
 * vdb_nvme_open() - begin to use a queue pair
 * @doorbells: slice of the controller's BAR 0 with the doorbells of the queue pair
 * @memory: slice of memory in which the owner has made it
 * @submission: slice of the controller's memory buffer, if the owner has put the
 *	submission queue there; otherwise NULL
 * @error: after failure filled in with why, in words; NULL: not wanted
 *
 * Maps the slices; the caller can free them afterwards.  The lease of a queue pair can
 * be opened once: the state of its queues is in the object.
 *
 * Return: the queue, to be closed with vdb_nvme_close(); NULL with errno:
 *	EPROTO	@memory does not describe a queue pair, or one that does not fit
 *	EINVAL	the slices are of the wrong kind, read-only, or do not have the doorbells
 *	EBUSY	it has been opened before; get a new lease
 *	ENODEV	it has ended, or a slice is revoked
 *	ENOMEM
 */
struct vdb_nvme *vdb_nvme_open(const struct vdb_slice *doorbells, const struct vdb_slice *memory,
			       const struct vdb_slice *submission, char error[VDB_ERROR_SIZE]);

/**
 * vdb_nvme_close() - end the use of a queue pair
 * @queue: any, or NULL.  errno is kept.
 *
 * Unmaps the slices.  Does not wait: commands that are outstanding are carried out until
 * the lease has ended.
 */
void vdb_nvme_close(struct vdb_nvme *queue);

/* About a queue. */
unsigned int vdb_nvme_id(const struct vdb_nvme *queue);		/* the controller's number of it */
unsigned int vdb_nvme_depth(const struct vdb_nvme *queue);	/* commands that can be outstanding */
unsigned int vdb_nvme_outstanding(const struct vdb_nvme *queue);	/* that have not been reported */
size_t vdb_nvme_max_transfer(const struct vdb_nvme *queue);	/* bytes of one read or write */
/* Whether the owner has bound an interrupt to it; see vdb_nvme_poll(). */
bool vdb_nvme_has_interrupt(const struct vdb_nvme *queue);

/* A namespace at the time when the owner made the queue.  Later versions can add members. */
struct vdb_nvme_namespace {
	uint32_t id;
	uint32_t block_size;	/* bytes, a power of two, at least 512 */
	uint64_t blocks;
};

/**
 * vdb_nvme_namespace() - one of the namespaces that the queue reaches
 * @queue: any
 * @index: from 0
 *
 * A queue reaches all namespaces of the controller, also those that are not listed
 * because the library cannot use them (blocks with metadata, for example).
 *
 * Return: the namespace, valid as long as @queue; NULL if there are no more.
 */
const struct vdb_nvme_namespace *vdb_nvme_namespace(const struct vdb_nvme *queue, unsigned int index);

/**
 * vdb_nvme_data() - the part of the lent memory that is for data
 * @queue: any
 * @size: filled in with its bytes
 *
 * The program can divide it in any way.  It begins at a multiple of 4 KiB, and is all zeros
 * at first.
 *
 * Return: its first byte.
 */
void *vdb_nvme_data(const struct vdb_nvme *queue, size_t *size);

/**
 * vdb_nvme_iova() - where the controller has a byte of the data
 * @queue: any
 * @address: in vdb_nvme_data()
 *
 * The other functions take addresses of the process; this is for programs that look at
 * commands.
 *
 * Return: the IOVA; 0 if @address is not in the data.
 */
uint64_t vdb_nvme_iova(const struct vdb_nvme *queue, const void *address);

/**
 * vdb_nvme_read() - submit a read
 * vdb_nvme_write() - submit a write
 * vdb_nvme_flush() - submit a flush: what was written and reported becomes permanent
 * @queue: any
 * @namespace_id: as in struct vdb_nvme_namespace
 * @block: the first
 * @blocks: number of blocks, at least 1
 * @data: in vdb_nvme_data(), aligned to 4 bytes; must not be used otherwise until the
 *	completion is reported
 * @tag: any value; vdb_nvme_poll() reports it
 *
 * The command is in the queue, and the controller begins with it after vdb_nvme_ring().
 * The order in which the controller carries out commands is not that of submission.
 *
 * Return: 0; -1 with errno:
 *	EAGAIN	as many commands as possible are outstanding: call vdb_nvme_poll()
 *	EINVAL	@data is not in the lent memory for all of its length, or not aligned, or
 *		there is no such namespace, or @blocks is 0 or more than
 *		vdb_nvme_max_transfer() allows
 *	ERANGE	the blocks are not all in the namespace
 *	ENODEV	the lease has ended, or the controller was reset or lost
 */
int vdb_nvme_read(struct vdb_nvme *queue, uint32_t namespace_id, uint64_t block, uint32_t blocks,
		  void *data, uint64_t tag);
int vdb_nvme_write(struct vdb_nvme *queue, uint32_t namespace_id, uint64_t block, uint32_t blocks,
		   const void *data, uint64_t tag);
int vdb_nvme_flush(struct vdb_nvme *queue, uint32_t namespace_id, uint64_t tag);

/**
 * vdb_nvme_ring() - let the controller begin with all commands submitted so far
 * @queue: any
 *
 * One write to a register, for any number of commands; none if there are no new ones.
 * While the controller is being reset, it waits.
 *
 * Return: 0; -1 with ENODEV if the doorbells cannot be reached.  The commands stay
 * outstanding, and vdb_nvme_poll() reports them.
 */
int vdb_nvme_ring(struct vdb_nvme *queue);

#define VDB_NVME_LOST	0x10000u	/* the queue has ended before the command was completed */

struct vdb_nvme_completion {
	uint64_t tag;
	/*
	 * 0: success.  Below 0x8000: the controller's Status field without the phase:
	 * bits 0 to 7 Status Code, 8 to 10 Status Code Type, 14 Do Not Retry.  Or
	 * VDB_NVME_LOST.
	 */
	uint32_t status;
	uint32_t reserved;
};

/**
 * vdb_nvme_poll() - the commands that are completed
 * @queue: any
 * @completions: filled in, in the order in which the controller has completed them
 * @room: number of completions that there is room for, at least 1
 *
 * Calls vdb_nvme_ring() first.  Does not wait.
 *
 * With an interrupt, the owner or broker passes an eventfd on with the lease.  To wait,
 * read the eventfd, then poll until 0 is returned, then wait for the eventfd again.  The
 * eventfd does not report the end of the lease: wait for the slice's or the broker's
 * event fd as well.
 *
 * Return: the number of completions filled in; 0 if there are none now; -1 with ENODEV if
 * the queue has ended, and all commands have been reported.
 */
int vdb_nvme_poll(struct vdb_nvme *queue, struct vdb_nvme_completion *completions, unsigned int room);

/**
 * vdb_nvme_has_ended() - whether the queue has ended, and its memory may be gone
 * @queue: any
 *
 * The lent memory is taken away at the end of the lease, also while a program uses data that
 * it has read before: it then sees zeros.  A program that must not take zeros for what is on
 * the drive copies the data, or computes from it, and calls this function afterwards.  If it
 * returns false, all that was read of the memory before the call was there.  No system call.
 *
 * Return: true if the queue has ended, or vdb_nvme_end() was called.
 */
bool vdb_nvme_has_ended(const struct vdb_nvme *queue);

/**
 * vdb_nvme_end() - stop waiting for completions
 * @queue: any
 *
 * For a program that knows from elsewhere that the queue pair no longer exists: the
 * broker has reported the end of the lease, for example, or the owner has died.
 * vdb_nvme_poll() reports what is outstanding, and then that the queue has ended.
 */
void vdb_nvme_end(struct vdb_nvme *queue);

/**
 * vdb_nvme_status_text() - a completion's status in words
 * @status: of struct vdb_nvme_completion
 *
 * Return: a constant text; a general one if the library does not know the status.
 */
const char *vdb_nvme_status_text(uint32_t status);

/**
 * vdb_nvme_status_errno() - a completion's status as errno
 * @status: of struct vdb_nvme_completion
 *
 * Return: 0 for success; ENODEV if the queue has ended (VDB_NVME_LOST, or 0x008 from the
 *	controller); otherwise what fits best: EIO, EILSEQ, ENODATA, EACCES, ENOSPC,
 *	EOPNOTSUPP or EINVAL.
 */
int vdb_nvme_status_errno(uint32_t status);

#ifdef __cplusplus
}
#endif

#endif
