// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may reach the device's memory, and when.
 *
 * Suspension has two sources.  vfio-pci-core suspends by itself, under
 * memory_lock held for writing and with a zap of the device's address space:
 * memory disabled or D3 by a write to config space, low power, and the resets
 * that user space asks VFIO for.  A reset that the kernel starts (sysfs, error
 * recovery of another function of the bus) tells nobody but the driver's
 * callbacks, so those suspend here, with the gate and a zap of their own, for
 * every reset alike.
 *
 * The callbacks can take no lock of vfio-pci-core: depending on who resets,
 * memory_lock is held for writing or not at all.  Nor may they keep a lock
 * from prepare to done, as several devices are prepared before any is done.
 * Hence a flag under an innermost lock, and a wait queue for the faults.
 *
 * Importers are told by this module alone, of either source and always before
 * the memory goes: by the reset callbacks, around writes to config space that
 * are handed on to vfio-pci-core (dvp_access_announce() and
 * dvp_access_changed()), and before the ioctl that enters low power returns.
 *
 * Revocation is a flag of the buffer under the same gate, a zap, and the
 * eviction of its importers.
 */
#include <linux/pci.h>
#include "compat.h"
#include "access.h"
#include "buffer.h"
#include "device.h"
#include "events.h"
#include "importers.h"
#include "mapping.h"
#include "trace.h"

/* Keep importers out: for a reason that is not there yet, or is already. */
static void dma_off(struct dvp_device *dvp, enum dvp_reason reason)
{
	struct dvp_buffer *buffer;
	unsigned int before = dvp->dma_off;

	lockdep_assert_held(&dvp->buffers_lock);

	WRITE_ONCE(dvp->dma_off, before | reason);
	if (before)
		return;
	list_for_each_entry(buffer, &dvp->buffers, link)
		dvp_importers_evict(buffer);
}

static void dma_on(struct dvp_device *dvp, enum dvp_reason reason)
{
	struct dvp_buffer *buffer;
	unsigned int before = dvp->dma_off;

	lockdep_assert_held(&dvp->buffers_lock);

	WRITE_ONCE(dvp->dma_off, before & ~reason);
	if (!before || dvp->dma_off)
		return;
	list_for_each_entry(buffer, &dvp->buffers, link)
		dvp_importers_notify(buffer);
}

static bool memory_suspended(struct dvp_device *dvp)
{
	lockdep_assert_held(&dvp->core.memory_lock);

	return dvp->core.pm_runtime_engaged || !dvp_memory_enabled(&dvp->core);
}

/**
 * dvp_access_test() - whether a buffer's pages may be inserted now
 * @buffer: any buffer
 *
 * The answer holds as long as the caller keeps memory_lock and gate.
 *
 * The device is open whenever a buffer is not revoked (closing it revokes them
 * all), so its emulated config space is there to be asked.
 */
enum dvp_access dvp_access_test(const struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;

	lockdep_assert_held(&dvp->core.memory_lock);
	lockdep_assert_held(&dvp->gate);

	if (buffer->revoked)
		return DVP_ACCESS_REVOKED;
	if (dvp->resetting)
		return DVP_ACCESS_RESETTING;
	if (memory_suspended(dvp))
		return DVP_ACCESS_SUSPENDED;
	return DVP_ACCESS_LIVE;
}

/**
 * dvp_access_wait() - wait for the end of a reset
 * @dvp: the device
 *
 * Called from faults, with a VMA or mmap lock of the faulting process held but
 * no lock of this module.  The one who resets needs neither.
 *
 * Return: whether the reset is over; false if the process is being killed.
 */
bool dvp_access_wait(struct dvp_device *dvp)
{
	return !wait_event_killable(dvp->reset_wait,
				    !READ_ONCE(dvp->resetting));
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

	mutex_lock(&dvp->buffers_lock);
	dma_off(dvp, DVP_REASON_RESET);
	mutex_unlock(&dvp->buffers_lock);

	down_write(&dvp->gate);
	dvp->resetting = true;
	up_write(&dvp->gate);

	dvp_zap_device(dvp);
	dvp_events_suspended(dvp, DVP_REASON_RESET, true);
}

/**
 * dvp_access_reset_done() - give access back after a reset
 * @pdev: the function, its device_lock held
 *
 * Whether the device's memory is enabled by now is up to the next fault.
 */
void dvp_access_reset_done(struct pci_dev *pdev)
{
	struct dvp_device *dvp = pci_get_drvdata(pdev);

	down_write(&dvp->gate);
	dvp->resetting = false;
	up_write(&dvp->gate);
	wake_up_all(&dvp->reset_wait);
	dvp_events_suspended(dvp, DVP_REASON_RESET, false);

	mutex_lock(&dvp->buffers_lock);
	dma_on(dvp, DVP_REASON_RESET);
	mutex_unlock(&dvp->buffers_lock);

	trace_device_resume(dvp, "reset");
}

/**
 * dvp_access_announce() - get importers out of the way of what comes
 * @dvp: an open device
 *
 * Called before vfio-pci-core is asked for something that may take the
 * device's memory away: it does not tell importers of ours.  To be followed by
 * dvp_access_changed().
 */
void dvp_access_announce(struct dvp_device *dvp)
{
	guard(mutex)(&dvp->buffers_lock);

	dvp->announced++;
	dma_off(dvp, DVP_REASON_MEMORY);
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
	bool suspended;

	guard(rwsem_read)(&dvp->core.memory_lock);
	guard(mutex)(&dvp->buffers_lock);

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
		dma_off(dvp, DVP_REASON_MEMORY);
	else if (!dvp->announced)
		dma_on(dvp, DVP_REASON_MEMORY);
}

/**
 * dvp_access_revoke() - take access through a buffer away for good
 * @buffer: any buffer
 *
 * When it returns, whatever it returns, no CPU mapping and no importer reaches
 * the device through the buffer.  buffers_lock is kept over the zap for the
 * sake of a second caller, who must not be told that all is done before it is.
 *
 * Return: 0, or -EBADFD if the buffer had been revoked before.
 */
int dvp_access_revoke(struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;

	guard(mutex)(&dvp->buffers_lock);

	if (buffer->revoked)
		return -EBADFD;

	down_write(&dvp->gate);
	buffer->revoked = true;
	up_write(&dvp->gate);

	dvp_zap_buffer(buffer);
	dvp_importers_evict(buffer);
	dvp_events_revoked(buffer);
	trace_buffer_revoke(buffer);
	return 0;
}

/**
 * dvp_access_revoke_all() - revoke every buffer of a device that is closed
 * @dvp: the device, before vfio-pci-core lets go of it
 *
 * BAR mappings keep the device open, so all that is left are slices.
 */
void dvp_access_revoke_all(struct dvp_device *dvp)
{
	struct dvp_buffer *buffer;

	guard(mutex)(&dvp->buffers_lock);

	down_write(&dvp->gate);
	list_for_each_entry(buffer, &dvp->buffers, link)
		buffer->revoked = true;
	up_write(&dvp->gate);

	dvp_zap_device(dvp);
	list_for_each_entry(buffer, &dvp->buffers, link) {
		if (buffer->told_end)
			continue;
		dvp_importers_evict(buffer);
		dvp_events_revoked(buffer);
		trace_buffer_revoke(buffer);
	}
}
