/* SPDX-License-Identifier: MIT */
/* Requests of clients. */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include "machine.h"

void request_handle(struct core *core, struct client *client, const struct event *event);
bool request_is_from_admin(const struct core *core, const struct client *client);

#endif
