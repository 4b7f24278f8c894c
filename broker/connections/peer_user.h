/* SPDX-License-Identifier: MIT */
/*
 * The user of a connection's account: a user id, or a number that is greater than any
 * user id.
 *
 * The process cannot choose it.  The kernel reports its user and its cgroup, and only
 * root can put a process into a session or user manager of another user.
 */
#ifndef CONNECTIONS_PEER_USER_H
#define CONNECTIONS_PEER_USER_H

#include <stdint.h>

#include "core/policy.h"

#define USER_NONE	UINT64_MAX

/* -1 with errno: no memory, or no fds. */
int user_of_peer(int socket, const struct identity *who, uint64_t *user);

/*
 * How user_of_peer() decides.  @session: the user of the session or user manager that the
 * process belongs to; @range: the user of the range of subordinate ids that has @uid.
 * Both can be USER_NONE.
 */
uint64_t user_choose(uid_t uid, uint64_t session, uint64_t range);

#endif
