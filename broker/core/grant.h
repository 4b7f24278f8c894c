/* SPDX-License-Identifier: MIT */
/*
 * Granting.  Every request waits for its bytes and its device, in the order of the
 * requests.  Most wait only while their event is handled.
 */
#ifndef CORE_GRANT_H
#define CORE_GRANT_H

#include "machine.h"

void grant_request(struct core *core, struct client *client, const struct event *event);
/* Grants what can be granted of the requests that wait for the device. */
void grant_waiting(struct core *core, struct device *device);
void grant_exported(struct core *core, struct lease *lease, const struct event *event);

#endif
