/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "peer_user.h"
#include "subid.h"

#define SUBUID	"/etc/subuid"
#define PASSWD	"/etc/passwd"

/*
 * If a process of another user is in a session, the user of the session has started it,
 * through a set-user-id program or with subordinate ids.  Root starts processes for
 * others, so these are not on root's account.  Root is not on an account that others can
 * fill.
 */
uint64_t user_choose(uid_t uid, uint64_t session, uint64_t range)
{
	if (!uid)
		return 0;
	if (session && session != USER_NONE)
		return session;
	return range && range != USER_NONE ? range : uid;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_ranges(struct subids *subids)
{
	FILE *file = fopen(SUBUID, "re"), *users = file ? fopen(PASSWD, "re") : NULL;
	int ret = users ? subids_read(subids, file, users) : -1;

	if (users)
		fclose(users);
	if (file)
		fclose(file);
	return ret;
}

/* Reads the file again if it has changed. */
static int user_of_range(uid_t uid, uint64_t *user)
{
	static struct subids subids;
	static struct stat read;
	struct stat now;

	*user = USER_NONE;
	if (stat(SUBUID, &now))
		return errno == ENOENT || errno == EACCES ? 0 : -1;
	if (!same_file(&now, &read)) {
		if (read_ranges(&subids))
			return -1;
		read = now;
	}
	*user = subids_user(&subids, uid);
	return 0;
}

int user_of_peer(int socket, const struct identity *who, uint64_t *user)
{
	uint64_t session = USER_NONE, range = USER_NONE;
	uid_t uid;
	int ret;

	if (!who->uid) {
		*user = 0;
		return 0;
	}
	ret = sd_peer_get_owner_uid(socket, &uid);
	if (ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE) {
		errno = -ret;
		return -1;
	}
	if (!ret)
		session = uid;
	else if (user_of_range(who->uid, &range))
		return -1;
	*user = user_choose(who->uid, session, range);
	return 0;
}
