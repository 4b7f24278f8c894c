/* SPDX-License-Identifier: MIT */
/*
 * What follows from an event, in this order: devices are lost, waiting requests are
 * granted, clients are sent messages, the timer is set.
 */
#ifndef CORE_SETTLE_H
#define CORE_SETTLE_H

#include "machine.h"

void settle(struct core *core);

#endif
