/* SPDX-License-Identifier: MIT */
/*
 * On-release actions: what is done to a device between two leases, so that nothing of
 * the first is left for the second.
 */
#ifndef DEVICES_ACTIONS_H
#define DEVICES_ACTIONS_H

#include <vfio-dmabuf.h>

#include "catalogue.h"

/*
 * Writes the registers of all @slices, then resets the device if @reset.  False: something
 * failed, and the rest was not done; @why says what.
 */
bool actions_run(const struct vdb_device *device, const struct slice *slices, size_t nr,
		 bool reset, char *why, size_t size);

#endif
