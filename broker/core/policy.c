/* SPDX-License-Identifier: MIT */
/* A rule allows a client if any part of it does.  An empty rule allows no client. */
#include <string.h>

#include "policy.h"

static bool in_group(gid_t gid, const struct identity *who)
{
	if (who->gid == gid)
		return true;
	for (size_t i = 0; i < who->nr_groups; i++)
		if (who->groups[i] == gid)
			return true;
	return false;
}

static bool below(const char *cgroup, const char *path)
{
	size_t length = strlen(path);

	return !strncmp(cgroup, path, length) && (!cgroup[length] || cgroup[length] == '/');
}

/*
 * systemd names a cgroup after each unit, so a unit is a part of the path.  A user
 * with a delegated cgroup could create one of any name below it.  So only parts below
 * system.slice count, which belongs to root, and none inside a service.
 */
static bool in_unit(const char *cgroup, const char *unit)
{
	const char *part = cgroup;
	size_t length = strlen(unit);

	if (!below(cgroup, "/system.slice"))
		return false;
	while (*part == '/') {
		const char *end = strchrnul(part + 1, '/');
		size_t size = end - part - 1;

		if (size == length && !strncmp(part + 1, unit, length))
			return true;
		if (size <= 6 || strncmp(end - 6, ".slice", 6))
			return false;
		part = end;
	}
	return false;
}

bool policy_allows(const struct rule *rule, const struct identity *who)
{
	if (rule->everybody)
		return true;
	for (size_t i = 0; i < rule->nr_users; i++)
		if (rule->users[i] == who->uid)
			return true;
	for (size_t i = 0; i < rule->nr_groups; i++)
		if (in_group(rule->groups[i], who))
			return true;
	if (!who->cgroup[0])
		return false;
	for (size_t i = 0; i < rule->nr_units; i++)
		if (in_unit(who->cgroup, rule->units[i]))
			return true;
	for (size_t i = 0; i < rule->nr_cgroups; i++)
		if (below(who->cgroup, rule->cgroups[i]))
			return true;
	return false;
}
