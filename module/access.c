// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who can reach the device's memory, and when.
 *
 * Suspension has two sources.  vfio-pci-core suspends by itself, under
 * memory_lock held for writing and with a zap of the device's address space:
 * memory disabled or D3 by a write to config space, low power, and the resets
 * that user space asks VFIO for.  Of a reset that the kernel starts (sysfs,
 * error recovery of another function of the bus) and of system sleep only the
 * driver's callbacks learn.  So the callbacks suspend here, with the gate and a
 * zap of their own, for every reset.
 *
 * The reset callbacks cannot take locks of vfio-pci-core: some resets hold
 * memory_lock for writing, and others do not.  They cannot keep a lock from
 * prepare to done either, because several devices are prepared before any is
 * done.  So there is a flag under an innermost lock, and a wait queue for the
 * faults.
 *
 * A client can be kept from running during a fault: by its priority, by the
 * limits of its control group, or by lack of memory.  So a fault takes no lock
 * under which it could sleep or be preempted.  It makes page tables first, with
 * nothing held.  Then it tests and inserts in one step under the page table's
 * lock, gate (a spinlock) and memory_lock (by trylock).
 *
 * Only this module notifies importers, of either source, and before the memory
 * is lost: in the reset callbacks, around calls to vfio-pci-core
 * (dvp_access_announce() and dvp_access_changed()), and before the system
 * sleeps.
 *
 * Revocation is a flag of the buffer under the same gate, a zap, and the
 * eviction of its importers.
 */
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "access.h"
#include "buffer.h"
#include "device.h"
#include "events.h"
#include "importers.h"
#include "mapping.h"
#include "trace.h"

/* How long one request for a hot reset keeps faults waiting. */
#define HOLD_TIME	HZ

/*
 * Keep importers out, for a reason that is new or set already.  Unless it
 * returns 0, some importers can still have mappings, and the reason stays set.
 */
static int dma_off(struct dvp_device *dvp, enum dvp_reason reason,
		   enum dvp_patience patience)
{
	scoped_guard(spinlock, &dvp->state_lock)
		WRITE_ONCE(dvp->dma_off, dvp->dma_off | reason);
	return dvp_importers_evict_all(dvp, patience);
}

/* Under state_lock; whether importers must be notified that they can map. */
static bool clear_dma_off(struct dvp_device *dvp, enum dvp_reason reason)
{
	unsigned int before = dvp->dma_off;

	lockdep_assert_held(&dvp->state_lock);

	WRITE_ONCE(dvp->dma_off, before & ~reason);
	return before && !dvp->dma_off;
}

static void dma_on(struct dvp_device *dvp, enum dvp_reason reason)
{
	bool last;

	scoped_guard(spinlock, &dvp->state_lock)
		last = clear_dma_off(dvp, reason);
	if (last)
		dvp_importers_resume(dvp);
}

static bool memory_suspended(struct dvp_device *dvp)
{
	lockdep_assert_held(&dvp->core.memory_lock);

	return dvp->core.pm_runtime_engaged || !dvp_memory_enabled(&dvp->core);
}

static bool held(struct dvp_device *dvp)
{
	return READ_ONCE(dvp->resetting) || READ_ONCE(dvp->sleeping) ||
	       (READ_ONCE(dvp->holds) &&
		time_before64(get_jiffies_64(), READ_ONCE(dvp->hold_end)));
}

/* The state under gate, without that of the device's memory. */
static enum dvp_access test_gate(const struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;

	lockdep_assert_held(&dvp->gate);

	if (buffer->revoked || !dvp->open)
		return DVP_ACCESS_REVOKED;
	return held(dvp) ? DVP_ACCESS_HELD : DVP_ACCESS_LIVE;
}

/**
 * dvp_access_test() - whether a buffer's pages could be inserted now
 * @buffer: any buffer
 *
 * The answer holds as long as the caller keeps memory_lock and gate.
 *
 * The device is open whenever a buffer is not revoked (closing it revokes them
 * all), so its emulated config space can be read.
 */
enum dvp_access dvp_access_test(const struct dvp_buffer *buffer)
{
	enum dvp_access access = test_gate(buffer);

	if (access == DVP_ACCESS_LIVE && memory_suspended(buffer->dvp))
		return DVP_ACCESS_SUSPENDED;
	return access;
}

/**
 * dvp_access_begin() - keep access from being taken away
 * @buffer: whose pages are to be inserted, under the page table's lock, held
 *
 * Return: DVP_ACCESS_LIVE: the caller inserts, without sleeping, and calls
 * dvp_access_end().  Otherwise why not.
 */
enum dvp_access dvp_access_begin(struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;
	enum dvp_access access;

	raw_spin_lock(&dvp->gate);
	access = test_gate(buffer);
	if (access != DVP_ACCESS_LIVE)
		goto unlock;

	/*
	 * Not tried while a hot reset is requested (holds): that takes
	 * memory_lock by trylock, and one client's faults would make it fail.
	 */
	if (!down_read_trylock(&dvp->core.memory_lock)) {
		access = DVP_ACCESS_BUSY;
		goto unlock;
	}
	if (!memory_suspended(dvp)) {
		/* For sparse: dvp_access_end() releases it. */
		__release(&dvp->gate);
		return DVP_ACCESS_LIVE;
	}

	access = DVP_ACCESS_SUSPENDED;
	up_read(&dvp->core.memory_lock);
unlock:
	raw_spin_unlock(&dvp->gate);
	return access;
}

/**
 * dvp_access_end() - the pages are inserted
 * @buffer: as given to dvp_access_begin(), which has returned DVP_ACCESS_LIVE
 */
void dvp_access_end(struct dvp_buffer *buffer)
{
	__acquire(&buffer->dvp->gate);
	up_read(&buffer->dvp->core.memory_lock);
	raw_spin_unlock(&buffer->dvp->gate);
}

/**
 * dvp_access_wait() - wait before a fault is repeated
 * @dvp: the device
 * @access: why the pages could not be inserted: DVP_ACCESS_HELD or
 *	DVP_ACCESS_BUSY
 *
 * Called from faults, with a VMA or mmap lock of the faulting process held but
 * no lock of this module.  The process that resets needs neither.
 *
 * Return: whether to repeat the fault; false if the process is being killed.
 */
bool dvp_access_wait(struct dvp_device *dvp, enum dvp_access access)
{
	/*
	 * No event reports that memory_lock is free.  If faults waited by
	 * taking it, a client that does not run could hold it.  Only a reset
	 * holds it for long, and the driver's callbacks know of that.
	 */
	if (access == DVP_ACCESS_BUSY)
		schedule_timeout_killable(1);
	else
		wait_event_killable_timeout(dvp->resume_wait, !held(dvp),
					    HOLD_TIME);
	return !fatal_signal_pending(current);
}

/*
 * As work, because clients choose how many of their threads wait. The process
 * that resets or wakes the device must not pay for them.
 */
static void wake_faults(struct work_struct *work)
{
	struct dvp_device *dvp = container_of(work, struct dvp_device, resume);

	wake_up_all(&dvp->resume_wait);
}

/**
 * dvp_access_init() - for a new device, which is not open
 * @dvp: the device
 */
void dvp_access_init(struct dvp_device *dvp)
{
	raw_spin_lock_init(&dvp->gate);
	init_waitqueue_head(&dvp->resume_wait);
	INIT_WORK(&dvp->resume, wake_faults);
	spin_lock_init(&dvp->state_lock);
}

/**
 * dvp_access_exit() - undo dvp_access_init()
 * @dvp: the device, with no buffer left
 */
void dvp_access_exit(struct dvp_device *dvp)
{
	cancel_work_sync(&dvp->resume);
}

/**
 * dvp_access_open() - the device is open from now on
 * @dvp: the device, enabled by vfio-pci-core
 */
void dvp_access_open(struct dvp_device *dvp)
{
	scoped_guard(raw_spinlock, &dvp->gate)
		dvp->open = true;
	dvp_access_changed(dvp, false);
}

/* Suspend for a reason that vfio-pci-core knows nothing of. */
static void hold_off(struct dvp_device *dvp, bool *flag, enum dvp_reason reason)
{
	scoped_guard(raw_spinlock, &dvp->gate)
		WRITE_ONCE(*flag, true);
	dvp_zap_device(dvp);
	dvp_events_suspended(dvp, reason, true);
}

/* The next fault tests whether the device's memory is enabled. */
static void let_on(struct dvp_device *dvp, bool *flag, enum dvp_reason reason)
{
	scoped_guard(raw_spinlock, &dvp->gate)
		WRITE_ONCE(*flag, false);
	dvp_events_queue(&dvp->resume);
	dvp_events_suspended(dvp, reason, false);
	dma_on(dvp, reason);
}

/**
 * dvp_access_reset_prepare() - suspend for a reset
 * @pdev: the function, its device_lock held
 *
 * When it returns, no CPU mapping and no importer reaches the device until
 * reset_done.
 */
void dvp_access_reset_prepare(struct pci_dev *pdev)
{
	struct dvp_device *dvp = pci_get_drvdata(pdev);

	trace_device_suspend(dvp, "reset");
	dma_off(dvp, DVP_REASON_RESET, DVP_FOR_EVER);
	hold_off(dvp, &dvp->resetting, DVP_REASON_RESET);
}

/**
 * dvp_access_reset_done() - give access back after a reset
 * @pdev: the function, its device_lock held
 */
void dvp_access_reset_done(struct pci_dev *pdev)
{
	struct dvp_device *dvp = pci_get_drvdata(pdev);

	let_on(dvp, &dvp->resetting, DVP_REASON_RESET);
	trace_device_resume(dvp, "reset");
}

/**
 * dvp_access_sleep() - suspend because the system is about to sleep
 * @dvp: any device, open or not
 *
 * Return: 0; -EBUSY, with nothing changed, if an importer does not unmap.
 */
int dvp_access_sleep(struct dvp_device *dvp)
{
	int ret;

	trace_device_suspend(dvp, "sleep");
	ret = dma_off(dvp, DVP_REASON_SLEEP, DVP_FOR_A_SECOND);
	if (ret) {
		dma_on(dvp, DVP_REASON_SLEEP);
		trace_device_resume(dvp, "sleep");
		return ret;
	}
	hold_off(dvp, &dvp->sleeping, DVP_REASON_SLEEP);
	return 0;
}

/**
 * dvp_access_wake() - give access back when the system is awake
 * @dvp: after dvp_access_sleep() has returned 0
 */
void dvp_access_wake(struct dvp_device *dvp)
{
	let_on(dvp, &dvp->sleeping, DVP_REASON_SLEEP);
	trace_device_resume(dvp, "sleep");
}

/**
 * dvp_access_hold() - hold faults off, so that memory_lock can be had at once
 * @dvp: the device
 *
 * Nothing is zapped.  Faults wait until dvp_access_unhold(), but not longer than
 * HOLD_TIME: the hot reset can wait for user memory of a process that owns another
 * device of the set.  That process cannot hold faults repeatedly either: the time
 * counts from the first hold, and after a hold in vain new ones do not count for
 * some time.
 */
void dvp_access_hold(struct dvp_device *dvp)
{
	raw_spin_lock(&dvp->gate);
	if (!dvp->holds)
		WRITE_ONCE(dvp->hold_end,
			   time_before64(get_jiffies_64(), dvp->hold_pause) ?
			   0 : get_jiffies_64() + HOLD_TIME);
	WRITE_ONCE(dvp->holds, dvp->holds + 1);
	raw_spin_unlock(&dvp->gate);
}

/**
 * dvp_access_unhold() - undo dvp_access_hold()
 * @dvp: the device
 * @in_vain: the caller was not allowed to reset it
 */
void dvp_access_unhold(struct dvp_device *dvp, bool in_vain)
{
	scoped_guard(raw_spinlock, &dvp->gate) {
		WRITE_ONCE(dvp->holds, dvp->holds - 1);
		if (in_vain)
			dvp->hold_pause = get_jiffies_64() + HOLD_TIME;
	}
	dvp_events_queue(&dvp->resume);
}

/**
 * dvp_access_announce() - evict importers before memory can be lost
 * @dvp: an open device
 *
 * Called before a call to vfio-pci-core that can take the device's memory away,
 * because vfio-pci-core does not notify importers of our buffers.  Followed by
 * dvp_access_changed().
 *
 * Return: 0, or -ERESTARTSYS if a signal arrived during the wait for importers;
 * the announcement is then undone.
 */
int dvp_access_announce(struct dvp_device *dvp)
{
	int ret;

	scoped_guard(spinlock, &dvp->state_lock)
		dvp->announced++;
	ret = dma_off(dvp, DVP_REASON_MEMORY, DVP_UNTIL_A_SIGNAL);
	if (ret)
		dvp_access_changed(dvp, true);
	return ret;
}

/**
 * dvp_access_changed() - test what vfio-pci-core has changed
 * @dvp: an open device
 * @announced: whether dvp_access_announce() was called before
 *
 * Called after a write to config space, a change of power state, and a reset
 * that user space asked for (which brings the device back from D3). Importers
 * can map again if the memory is enabled and no other announced call is in
 * flight.
 */
void dvp_access_changed(struct dvp_device *dvp, bool announced)
{
	bool suspended, resumed = false;

	/*
	 * The change was not announced, so importers are evicted now.  That
	 * counts as an announcement.  Otherwise another call that finds the
	 * memory enabled could let an importer in, and this one would wait for
	 * it for good.
	 */
	if (!announced) {
		scoped_guard(rwsem_read, &dvp->core.memory_lock)
			suspended = memory_suspended(dvp);
		if (suspended) {
			scoped_guard(spinlock, &dvp->state_lock)
				dvp->announced++;
			announced = true;
			dma_off(dvp, DVP_REASON_MEMORY, DVP_FOR_EVER);
		}
	}

	down_read(&dvp->core.memory_lock);
	spin_lock(&dvp->state_lock);
	suspended = memory_suspended(dvp);
	if (suspended != dvp->suspended) {
		dvp->suspended = suspended;
		if (suspended)
			trace_device_suspend(dvp, "memory");
		else
			trace_device_resume(dvp, "memory");
		dvp_events_suspended(dvp, DVP_REASON_MEMORY, suspended);
	}

	if (announced)
		dvp->announced--;
	if (suspended)
		WRITE_ONCE(dvp->dma_off, dvp->dma_off | DVP_REASON_MEMORY);
	else if (!dvp->announced)
		resumed = clear_dma_off(dvp, DVP_REASON_MEMORY);
	spin_unlock(&dvp->state_lock);
	up_read(&dvp->core.memory_lock);

	if (resumed)
		dvp_importers_resume(dvp);
}

static void set_revoked(struct dvp_buffer *buffer)
{
	raw_spin_lock(&buffer->dvp->gate);
	WRITE_ONCE(buffer->revoked, true);
	raw_spin_unlock(&buffer->dvp->gate);
}

/* No CPU mapping is left. */
static void set_zapped(struct dvp_buffer *buffer)
{
	/* What is zapped is seen by whoever sees this, in dvp_events_revoked(). */
	smp_store_release(&buffer->zapped, true);
}

/* Nothing is left. */
static int revoke_done(struct dvp_buffer *buffer)
{
	dvp_events_revoked(buffer);
	if (xchg(&buffer->returned, true))
		return -EBADFD;
	trace_buffer_revoke(buffer);
	return 0;
}

/* The rest of a revocation, when no CPU mapping is left. */
static int revoke_zapped(struct dvp_buffer *buffer, enum dvp_patience patience)
{
	int ret;

	set_zapped(buffer);
	ret = dvp_importers_evict(buffer, patience);
	return ret ?: revoke_done(buffer);
}

/**
 * dvp_access_revoke() - take access through a buffer away for good
 * @buffer: any buffer
 *
 * When it returns, no CPU mapping reaches the device through the buffer, and
 * unless it returns -ERESTARTSYS, no importer does either.  A second caller does
 * the same steps, so that it does not return before the revocation is complete.
 *
 * Return: 0; -EBADFD if an earlier call has returned 0 or the device was closed;
 * -ERESTARTSYS if a signal arrived during the wait for importers.  They unmap
 * when they can, which completes the revocation.
 */
int dvp_access_revoke(struct dvp_buffer *buffer)
{
	if (READ_ONCE(buffer->returned))
		return -EBADFD;
	set_revoked(buffer);
	dvp_zap_buffer(buffer);
	return revoke_zapped(buffer, DVP_UNTIL_A_SIGNAL);
}

/**
 * dvp_access_revoke_now() - revoke a buffer, unless that has to wait
 * @buffer: any buffer
 *
 * It does not wait for anything that a client, an importer or the device can hold for
 * long.  A client holds the other locks only while it cannot be preempted.
 *
 * Return: 0 or -EBADFD as dvp_access_revoke(); -EAGAIN if that has to be called.
 */
int dvp_access_revoke_now(struct dvp_buffer *buffer)
{
	int ret;

	if (READ_ONCE(buffer->returned))
		return -EBADFD;
	ret = dvp_zap_buffer_now(buffer, set_revoked);
	if (ret)
		return ret;
	set_zapped(buffer);
	return dvp_importers_any(buffer) ? -EAGAIN : revoke_done(buffer);
}

/**
 * dvp_access_close() - revoke every buffer of a device that is closed
 * @dvp: the device, before vfio-pci-core lets go of it
 *
 * BAR mappings keep the device open, so all that is left are slices.
 */
void dvp_access_close(struct dvp_device *dvp)
{
	struct dvp_buffer *buffer;
	u64 id = 0;

	/* One zap for all buffers; the other steps are for each. */
	scoped_guard(raw_spinlock, &dvp->gate)
		dvp->open = false;
	dvp_zap_device(dvp);

	while ((buffer = dvp_buffer_get_from(dvp, id))) {
		id = dvp_buffer_id(buffer) + 1;
		set_revoked(buffer);
		revoke_zapped(buffer, DVP_FOR_EVER);
		dvp_buffer_put(buffer);
	}
	dvp_events_closed(dvp);
}
