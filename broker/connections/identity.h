/* SPDX-License-Identifier: MIT */
/* The process at the other end of a socket.  The kernel reports its ids and control group. */
#ifndef CONNECTIONS_IDENTITY_H
#define CONNECTIONS_IDENTITY_H

#include <stdint.h>

#include "core/policy.h"

/*
 * Fills in who connected; free it with identity_free().  @pidfd: of the process; the caller
 * closes it.  @user: on whose account the connection is.  -1 with errno: ESRCH if the
 * process has ended.
 */
int identity_of_peer(int socket, struct identity *who, int *pidfd, uint64_t *user);
void identity_free(struct identity *who);

#endif
