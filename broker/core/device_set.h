/* SPDX-License-Identifier: MIT */
/* Devices are opened, settled, lost and opened again. */
#ifndef CORE_DEVICE_SET_H
#define CORE_DEVICE_SET_H

#include "machine.h"

struct device *device_find(const struct core *core, const char *bdf);
struct device *device_numbered(const struct core *core, uint32_t number);
/* NULL: no memory. */
struct device *device_add(struct core *core, const char *bdf);

/*
 * The device has appeared.  It may not be possible to open it at once, and the kernel reports
 * it only once.  So the pause before the next attempt is the first, short one again.
 */
void device_came(struct device *device);
/* Opens a device that is not open.  Its former leases have ended by then. */
void device_open(struct core *core, struct device *device);
/* Opens a device of a former process, or takes it over if it is @stored. */
void device_take_over(struct core *core, struct device *device, bool stored);
/* Closes a device, which ends all its leases. */
void device_lose(struct core *core, struct device *device, const char *why);

/* Results of the worker. */
void device_opened(struct core *core, struct device *device, const struct event *event);
/* A buffer without a lease is revoked. */
void device_settled(struct core *core, struct device *device, bool ok);
void device_prepared(struct core *core, struct device *device, bool ok);
void device_closed(struct core *core, struct device *device);
/* Forgets a device that is not open and not configured. */
void device_forget(struct core *core, struct device *device);
void device_set_suspended(struct core *core, struct device *device, bool suspended);

#endif
