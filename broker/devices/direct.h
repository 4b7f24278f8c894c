/* SPDX-License-Identifier: MIT */
/*
 * What the loop does with an open device itself.  The driver does not wait: it fails
 * instead, and then the worker does the same.
 */
#ifndef DEVICES_DIRECT_H
#define DEVICES_DIRECT_H

#include <stdbool.h>

#include "record.h"

/* Whether the device's driver can.  @device: its fd. */
bool direct_is_possible(int device);
/*
 * Exports the bytes of a lease without memory.  @fds: the DMABUF and its event fd, for the caller.
 * False: it was not done.
 */
bool direct_export(int device, const struct lease_record *lease, int fds[2], uint64_t *buffer);
/* True: the buffer is revoked.  False: the worker must revoke it. */
bool direct_revoke(int device, uint64_t buffer);

#endif
