// SPDX-License-Identifier: MIT
/* Control groups (version 2). */
#define _GNU_SOURCE
#include "cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "sysfs.h"

#define ROOT "/sys/fs/cgroup"

const char *cgroups_missing(void)
{
	static const char missing[] = "this kernel has no control groups";

	if (access(ROOT "/cgroup.controllers", F_OK) &&
	    mount("cgroup2", ROOT, "cgroup2", 0, NULL))
		return missing;
	if (file_write(ROOT "/cgroup.subtree_control", "+cpu +memory"))
		return missing;
	return NULL;
}

struct cgroup cgroup_new(const char *name)
{
	struct cgroup group;

	/* One that a failed test has left has another name. */
	snprintf(group.path, sizeof(group.path), ROOT "/%.20s-%d", name, getpid());
	ck_assert_works(mkdir(group.path, 0755));
	return group;
}

void cgroup_set(const struct cgroup *group, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", group->path, file);
	ck_assert_msg(!file_write(path, value), "%s to %s: %s", value, path, strerror(errno));
}

void cgroup_enter(const struct cgroup *group, pid_t pid)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", pid);
	cgroup_set(group, "cgroup.procs", number);
}

void cgroup_end(const struct cgroup *group)
{
	/* The kernel may still be at work on those that have been waited for. */
	while (rmdir(group->path))
		ck_assert_int_eq(errno, EBUSY);
}
