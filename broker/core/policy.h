/* SPDX-License-Identifier: MIT */
/* Whether a rule allows a client. */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Who can lease a slice, or is an administrator: a client that any part of it names. */
struct rule {
	bool everybody;
	uid_t *users;
	size_t nr_users;
	gid_t *groups;
	size_t nr_groups;
	char **units;		/* systemd's, "name.service" */
	size_t nr_units;
	char **cgroups;		/* "/a/b": this one and all below it */
	size_t nr_cgroups;
};

/* Who a client is: what the kernel reported when it connected. */
struct identity {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t nr_groups;
	char cgroup[PATH_MAX];	/* the longest that the kernel reports; "" if not known */
};

bool policy_allows(const struct rule *rule, const struct identity *who);

#endif
