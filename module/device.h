/* SPDX-License-Identifier: GPL-2.0-only */
/* The device: one PCI function bound to this driver. */
#ifndef _DVP_DEVICE_H
#define _DVP_DEVICE_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/vfio_pci_core.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct dentry;

/*
 * Lock order, outermost first:
 *
 *   device_lock (held on entry of the reset callbacks)
 *     mmap lock or VMA lock of a process (held on entry of mmap and fault)
 *       huge_lock of a buffer, for reading
 *         memory_lock of vfio-pci-core
 *           dma_resv of a buffer (held on entry of an importer's calls)
 *             i_mmap and page table locks (taken inside a zap)
 *               huge_lock of a buffer, for writing, by trylock
 *               gate
 *                 memory_lock, for reading, by trylock
 *               buffers_lock
 *               state_lock
 *                 events_lock
 *
 * A client holds gate, buffers_lock, events_lock and page table locks only without
 * sleeping and without being preempted.  So a client that does not run does not
 * delay others.  The owner zaps under none of these locks.
 */
struct dvp_device {
	struct vfio_pci_core_device core;
	char bdf[24];			/* kept here because buffers outlive the PCI device */

	char names[PCI_STD_NUM_BARS][40];	/* of buffers, for each BAR */

	/*
	 * Every struct dvp_buffer that is not released, by its id; and only those
	 * with importers, so that the cost of suspension depends on importers,
	 * not exports.  The lock also protects what buffer.h says.
	 */
	spinlock_t buffers_lock;
	struct rb_root buffers;
	struct rb_root imported;

	/*
	 * Protects the six below and each buffer's revoked.  A fault holds it
	 * from testing them until the page table entries are set.  So code that
	 * sets one of them and then zaps leaves no entry behind. memory_lock is
	 * not enough, because a reset that the kernel itself starts takes no
	 * lock of vfio-pci-core.
	 */
	raw_spinlock_t gate;
	bool open;			/* false: every buffer is revoked */
	bool resetting;			/* from reset_prepare to reset_done */
	bool sleeping;			/* while the system sleeps; see sleep.c */
	unsigned int holds;		/* hot resets that are being requested ... */
	u64 hold_end;			/* ... and until when (jiffies) they count */
	u64 hold_pause;			/* until then new ones do not count */
	wait_queue_head_t resume_wait;	/* faults that wait for the end of the above */
	struct work_struct resume;	/* wakes them */

	/*
	 * Protects the reasons why importers cannot map (bits of enum
	 * dvp_reason; 0 if they can), calls of dvp_access_announce() in flight,
	 * and the last result of dvp_access_changed().
	 */
	spinlock_t state_lock;
	unsigned int dma_off;
	unsigned int announced;
	bool suspended;

	/*
	 * Protects what the files of events.c report: the reasons why the
	 * device is suspended, and the number of changes; and the lists of
	 * these files, here and in buffers.
	 */
	spinlock_t events_lock;
	unsigned int told_reasons;
	u64 told_changes;
	struct list_head watchers;

	bool write_combine;		/* see settings.c */
	bool core_export;
	struct dentry *debugfs;
};

static inline struct dvp_device *dvp_from_core(struct vfio_device *core_vdev)
{
	return container_of(core_vdev, struct dvp_device, core.vdev);
}

#endif
