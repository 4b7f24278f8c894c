/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "names.h"

#define MAX_ENTRY	(1 << 20)	/* a group with that many bytes of members */

/* Besides 0, some errors mean that there is no such name; see getpwnam(3). */
static int none_or(int error)
{
	return !error || error == ESRCH ? ENOENT : error;
}

static int find_user(const char *name, uid_t *uid)
{
	int error = ERANGE;

	for (size_t size = 4096; error == ERANGE && size <= MAX_ENTRY; size *= 4) {
		struct passwd entry, *found = NULL;
		char *buffer = malloc(size);

		if (!buffer)
			return ENOMEM;
		error = getpwnam_r(name, &entry, buffer, size, &found);
		if (found)
			*uid = entry.pw_uid;
		free(buffer);
		if (found)
			return 0;
	}
	return none_or(error);
}

static int find_group(const char *name, gid_t *gid)
{
	int error = ERANGE;

	for (size_t size = 4096; error == ERANGE && size <= MAX_ENTRY; size *= 4) {
		struct group entry, *found = NULL;
		char *buffer = malloc(size);

		if (!buffer)
			return ENOMEM;
		error = getgrnam_r(name, &entry, buffer, size, &found);
		if (found)
			*gid = entry.gr_gid;
		free(buffer);
		if (found)
			return 0;
	}
	return none_or(error);
}

const struct names system_names = { find_user, find_group };
