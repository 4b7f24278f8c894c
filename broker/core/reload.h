/* SPDX-License-Identifier: MIT */
/* Another catalogue: devices are added and closed, and leases that it does not allow end. */
#ifndef CORE_RELOAD_H
#define CORE_RELOAD_H

#include "machine.h"

/* Ends leases that the catalogue does not allow. */
void reload_end_forbidden(struct core *core);
/* -1: no memory.  Then some devices may have been added, and nothing else is changed. */
int reload_add_devices(struct core *core, const struct catalogue *catalogue);
/* Marks the devices that the catalogue has. */
void reload_mark_devices(struct core *core);
void reload(struct core *core, const struct catalogue *catalogue);

#endif
