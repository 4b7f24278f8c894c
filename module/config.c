// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes to config space, which can take the device's memory away: by the
 * command register's memory enable bit, or by a power state other than D0.
 * vfio-pci-core carries them out and zaps the CPU's mappings. Importers are
 * evicted here, before that.
 */
#include <linux/pci.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "access.h"
#include "config.h"
#include "device.h"

/* The byte that is written to @offset of config space, if any. */
static bool byte_at(const char __user *buf, size_t count, u64 pos,
		    unsigned int offset, u8 *byte)
{
	if (offset < pos || offset - pos >= count)
		return false;
	return !get_user(*byte, (const u8 __user *)buf + (offset - pos));
}

/*
 * User memory is read twice, here and by vfio-pci-core.  If the owner changes
 * it in between, dvp_access_changed() sees what vfio-pci-core wrote, and evicts
 * importers then.
 */
static bool takes_memory(struct pci_dev *pdev, const char __user *buf,
			 size_t count, u64 pos)
{
	u8 byte;

	if (byte_at(buf, count, pos, PCI_COMMAND, &byte) &&
	    !(byte & PCI_COMMAND_MEMORY))
		return true;

	return pdev->pm_cap &&
	       byte_at(buf, count, pos, pdev->pm_cap + PCI_PM_CTRL, &byte) &&
	       (byte & PCI_PM_CTRL_STATE_MASK);
}

/**
 * dvp_config_write() - write to config space, as vfio_pci_core_write()
 * @core_vdev: an open device
 * @buf: what to write, in user memory
 * @count: bytes
 * @ppos: offset in the device fd, in the config region; moved on
 *
 * Writes that leave the memory enabled do not affect importers.
 *
 * Return: bytes written or a negative errno; -ERESTARTSYS, with nothing written,
 * if a signal arrived during the wait for importers.
 */
ssize_t dvp_config_write(struct vfio_device *core_vdev, const char __user *buf,
			 size_t count, loff_t *ppos)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);
	bool announced = takes_memory(dvp->core.pdev, buf, count,
				      *ppos & VFIO_PCI_OFFSET_MASK);
	ssize_t ret;

	if (announced) {
		ret = dvp_access_announce(dvp);
		if (ret)
			return ret;
	}
	ret = vfio_pci_core_write(core_vdev, buf, count, ppos);
	dvp_access_changed(dvp, announced);
	return ret;
}
