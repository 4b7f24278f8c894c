// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may reach the device's memory, and when.
 *
 * Suspension has two sources.  vfio-pci-core suspends by itself, under
 * memory_lock held for writing and with a zap of the device's address space:
 * memory disabled or D3 by a write to config space, low power, and the resets
 * that user space asks VFIO for.  A reset that the kernel starts (sysfs, error
 * recovery of another function of the bus) and system sleep are reported to
 * nobody but the driver's callbacks, so those suspend here, with the gate and a
 * zap of their own, for every reset alike.
 *
 * The reset callbacks can take no lock of vfio-pci-core: depending on who
 * resets, memory_lock is held for writing or not at all.  Nor may they keep a
 * lock from prepare to done, as several devices are prepared before any is done.
 * Hence a flag under an innermost lock, and a wait queue for the faults.
 *
 * A fault is a client's, and a client can be kept from running: by its
 * priority, by the limits of its control group, for want of memory.  So it
 * takes no lock that it could sleep or be preempted under.  It makes page tables
 * first, with nothing held, and then tests and inserts in one go under the page
 * table's lock: gate, which is a spinlock, and memory_lock by trylock.
 *
 * Importers are notified by this module alone, of either source and before the
 * memory goes: by the reset callbacks, around calls that are handed on to
 * vfio-pci-core (dvp_access_announce() and dvp_access_changed()), and before the
 * system sleeps.
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

/* How long one hot reset that is being asked for keeps faults waiting. */
#define HOLD_TIME	HZ

/*
 * Keep importers out, for a reason that is not there yet or is already.  Unless
 * it returns 0, some importers may still be there, and the reason stands.
 */
static int dma_off(struct dvp_device *dvp, enum dvp_reason reason,
		   enum dvp_patience patience)
{
	scoped_guard(spinlock, &dvp->state_lock)
		WRITE_ONCE(dvp->dma_off, dvp->dma_off | reason);
	return dvp_importers_evict_all(dvp, patience);
}

/* Under state_lock; whether importers are to be notified that they may map. */
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

/* What the gate says; the device's memory is another matter. */
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
 * all), so its emulated config space is there to be asked.
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
	 * Not tried while a hot reset is being asked for (holds): the call takes
	 * memory_lock by trylock, and one client's faults would make it fail.
	 */
	if (!down_read_trylock(&dvp->core.memory_lock)) {
		access = DVP_ACCESS_BUSY;
		goto unlock;
	}
	if (!memory_suspended(dvp)) {
		/* For sparse, as what dvp_access_end() gives back. */
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
 * dvp_access_wait() - wait before a fault is taken again
 * @dvp: the device
 * @access: why the pages could not be inserted: DVP_ACCESS_HELD or
 *	DVP_ACCESS_BUSY
 *
 * Called from faults, with a VMA or mmap lock of the faulting process held but
 * no lock of this module.  The one who resets needs neither.
 *
 * Return: whether to take the fault again; false if the process is being killed.
 */
bool dvp_access_wait(struct dvp_device *dvp, enum dvp_access access)
{
	/*
	 * No event says when memory_lock is free, and to wait for it by taking
	 * it would let a client that is not run hold it.  It is never held for
	 * long but by a reset, of which the driver's callbacks tell.
	 */
	if (access == DVP_ACCESS_BUSY)
		schedule_timeout_killable(1);
	else
		wait_event_killable_timeout(dvp->resume_wait, !held(dvp),
					    HOLD_TIME);
	return !fatal_signal_pending(current);
}

/*
 * As work, because clients choose how many of their threads wait: who resets or
 * wakes the device does not pay for them.
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

/* Whether the device's memory is enabled by now is up to the next fault. */
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
 * HOLD_TIME: what comes in between may wait for user memory, of a process that
 * owns another device of the same reset.  Nor can that process hold them again and
 * again: a hold counts from the first one on, and not at all for some time after
 * one that led to nothing.
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
 * @in_vain: the caller may not reset it
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
 * dvp_access_announce() - get importers out of the way of what comes
 * @dvp: an open device
 *
 * Called before vfio-pci-core is asked for something that may take the
 * device's memory away: it does not notify importers of ours.  To be followed by
 * dvp_access_changed().
 *
 * Return: 0, or -ERESTARTSYS if a signal has come while importers were waited
 * for; that is then undone.
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
 * dvp_access_changed() - see what vfio-pci-core has made of it
 * @dvp: an open device
 * @announced: whether dvp_access_announce() was called before
 *
 * Called after a write to config space, a change of power state, and a reset
 * that user space asked for (which brings the device back from D3).
 * Importers may come back if the memory is there and nobody else is just about
 * to take it away.
 */
void dvp_access_changed(struct dvp_device *dvp, bool announced)
{
	bool suspended, resumed = false;

	/*
	 * Nobody has announced it: what can be done is to evict them now.  That
	 * counts as announced, or else another call that finds the memory there
	 * could let an importer in that this one waits for, for good.
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
 * When it returns, no CPU mapping reaches the device through the buffer, nor
 * does an importer unless it returns -ERESTARTSYS.  A second caller goes the same
 * way, so that it is not told that all is done before it is.
 *
 * Return: 0; -EBADFD if a call before has returned 0 or the device was closed;
 * -ERESTARTSYS if a signal has come while importers were waited for.  They
 * unmap when they can, which completes the revocation.
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
 * dvp_access_revoke_now() - the same, if nobody is to be waited for
 * @buffer: any buffer
 *
 * Waits for nothing that a client, an importer or the device can hold.  What a client
 * can hold, it holds without being preempted.
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

	/* For all at once; the rest of the way goes from one to the next. */
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
