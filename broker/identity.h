/* SPDX-License-Identifier: MIT */
/* Finding out who is at the other end of a socket. */
#ifndef BROKER_IDENTITY_H
#define BROKER_IDENTITY_H

#include "policy.h"

/*
 * Who connected, to be freed; @pidfd is theirs, for the caller to close.  -1 with errno:
 * ESRCH if the process is gone already.
 */
int identity_of_peer(int socket, struct identity *who, int *pidfd);
void identity_free(struct identity *who);

#endif
