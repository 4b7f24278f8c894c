// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_PCI_HOT_RESET resets all devices of a set together.  vfio-pci-core
 * takes memory_lock of each by trylock, and fails with EBUSY if one trylock
 * fails.  Faults take it for reading, and a client can cause any number of
 * faults.  So the faults of every device of the set are held off first.
 */
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/vfio.h>
#include "compat.h"
#include "access.h"
#include "device.h"
#include "hot_reset.h"

/* The devices of a set that are this driver's, with a reference to each. */
struct held_set {
	unsigned int nr;
	struct dvp_device *dvps[];
};

static struct held_set *hold_set(struct vfio_device *core_vdev)
{
	struct vfio_device_set *dev_set = core_vdev->dev_set;
	struct held_set *set;
	struct vfio_device *other;

	guard(mutex)(&dev_set->lock);

	set = kzalloc(struct_size(set, dvps, dev_set->device_count), GFP_KERNEL);
	if (!set)
		return NULL;

	list_for_each_entry(other, &dev_set->device_list, dev_set_list) {
		if (other->ops != core_vdev->ops)
			continue;
		/* One that is just being released is still in the set. */
		if (!kobject_get_unless_zero(&other->device.kobj))
			continue;
		dvp_access_hold(dvp_from_core(other));
		set->dvps[set->nr++] = dvp_from_core(other);
	}
	return set;
}

static void unhold_set(struct held_set *set, bool in_vain)
{
	while (set->nr) {
		struct dvp_device *dvp = set->dvps[--set->nr];

		dvp_access_unhold(dvp, in_vain);
		vfio_put_device(&dvp->core.vdev);
	}
	kfree(set);
}

/**
 * dvp_hot_reset() - have vfio-pci-core do a hot reset
 * @core_vdev: an open device
 * @arg: the ioctl's
 *
 * Importers of this device are evicted here, where a signal can end the wait.
 * Those of the other devices, which can have other owners, are evicted in
 * reset_prepare.
 *
 * Return: as vfio_pci_core_ioctl(), or -ERESTARTSYS with nothing done.
 */
long dvp_hot_reset(struct vfio_device *core_vdev, unsigned long arg)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);
	struct held_set *set;
	long ret;

	ret = dvp_access_announce(dvp);
	if (ret)
		return ret;

	set = hold_set(core_vdev);
	if (set) {
		ret = vfio_pci_core_ioctl(core_vdev, VFIO_DEVICE_PCI_HOT_RESET,
					  arg);
		/* EBUSY comes after the caller has proved that it owns the set. */
		unhold_set(set, ret && ret != -EBUSY);
	} else {
		ret = -ENOMEM;
	}
	dvp_access_changed(dvp, true);
	return ret;
}
