/* SPDX-License-Identifier: MIT */
/* Users of subordinate user ids: /etc/subuid. */
#ifndef CONNECTIONS_SUBID_H
#define CONNECTIONS_SUBID_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct subid_range {
	uint64_t first, nr;
	uint64_t user;
};

struct subids {
	struct subid_range *ranges;
	size_t nr;
};

/*
 * Reads "user:first:number" lines of @file, and the ids of users from lines of passwd(5)
 * in @users.  A range of root, or of a user that @users does not have, is a user of its
 * own.  Skips malformed lines.  -1 with errno: @subids is unchanged.
 */
int subids_read(struct subids *subids, FILE *file, FILE *users);
/* USER_NONE: @uid is in no range. */
uint64_t subids_user(const struct subids *subids, uid_t uid);
void subids_free(struct subids *subids);

#endif
