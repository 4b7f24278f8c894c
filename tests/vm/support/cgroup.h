/* SPDX-License-Identifier: MIT */
/* Control groups (version 2): what a group of processes may have of the machine. */
#ifndef TESTS_CGROUP_H
#define TESTS_CGROUP_H

#include <sys/types.h>

/* Why there are none here; NULL if there are. */
const char *cgroups_missing(void);

struct cgroup {
	char path[64];
};

/* A group of its own, with the controllers cpu and memory. */
struct cgroup cgroup_new(const char *name);
/* Sets one of its files; the test fails if it cannot. */
void cgroup_set(const struct cgroup *group, const char *file, const char *value);
/* Puts a process into it. */
void cgroup_enter(const struct cgroup *group, pid_t pid);
/* Removes it. All its processes must have ended. */
void cgroup_end(const struct cgroup *group);

#endif
