/* SPDX-License-Identifier: GPL-2.0-only */
/* The device: one PCI function bound to this driver. */
#ifndef _DVP_DEVICE_H
#define _DVP_DEVICE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/vfio_pci_core.h>
#include <linux/wait.h>

struct dentry;

/*
 * Lock order, outermost first:
 *
 *   device_lock (held on entry of the reset callbacks)
 *     mmap lock or VMA lock of a process (held on entry of mmap and fault)
 *       fault_lock of a buffer
 *         memory_lock of vfio-pci-core
 *           buffers_lock
 *             dma_resv of a buffer (held on entry of an importer's calls)
 *             gate
 *             i_mmap and page table locks (taken inside a zap)
 *
 * A zap is never made under gate.  Nobody touches user
 * memory under buffers_lock or gate, and nobody sleeps for an event under
 * them, so that a fault, which takes memory_lock and gate, is never held up
 * by a client.
 */
struct dvp_device {
	struct vfio_pci_core_device core;
	char bdf[24];			/* kept here because buffers outlive the PCI device */

	char names[PCI_STD_NUM_BARS][40];	/* of buffers, for each BAR */

	struct mutex buffers_lock;	/* protects buffers, lets one revoke at a time */
	struct list_head buffers;	/* every struct dvp_buffer that is not released */

	/*
	 * Protects resetting and each buffer's revoked.  A fault holds it for
	 * reading from testing them until the page table entries are in, so
	 * whoever sets one of them and then zaps leaves none behind.  It is
	 * needed beside memory_lock because a reset that the kernel starts by
	 * itself takes no lock of vfio-pci-core.
	 */
	struct rw_semaphore gate;
	bool resetting;			/* from reset_prepare to reset_done */
	wait_queue_head_t reset_wait;	/* faults that wait for the end of the reset */
	/*
	 * Why importers may not map (bits of enum dvp_reason, none if they
	 * may), calls of dvp_access_announce() in flight, and what
	 * dvp_access_changed() has seen last.  Written under buffers_lock.
	 */
	unsigned int dma_off;
	unsigned int announced;
	bool suspended;

	/*
	 * What has been told to the files of events.c: the reasons why the
	 * device is suspended, and how often that came or went.
	 */
	spinlock_t events_lock;		/* innermost, also for a buffer's told_end */
	unsigned int told_reasons;
	u64 told_changes;
	wait_queue_head_t events_wait;

	bool write_combine;		/* see settings.c */
	bool core_export;
	struct dentry *debugfs;
};

static inline struct dvp_device *dvp_from_core(struct vfio_device *core_vdev)
{
	return container_of(core_vdev, struct dvp_device, core.vdev);
}

#endif
