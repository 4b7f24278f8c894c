/* SPDX-License-Identifier: MIT */
/* Whether a rule fits a client. */
#ifndef BROKER_POLICY_H
#define BROKER_POLICY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct rule;

/* Who a client is: as it was when it connected, in the kernel's words. */
struct identity {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t nr_groups;
	char cgroup[PATH_MAX];	/* the longest that the kernel tells; "" if not known */
};

bool policy_allows(const struct rule *rule, const struct identity *who);

#endif
