/* SPDX-License-Identifier: MIT */
/*
 * Users are looked up in /etc/passwd only.  A name service can be slow, and all clients
 * would wait for it.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "peer_user.h"
#include "subid.h"

/* Numbers of users that are not user ids begin here. */
#define RANGE_USER	(1ULL << 32)

static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && !*end && *number <= UINT32_MAX;
}

/* Each user has a range on most machines: the file of users is read once, not for each. */

struct user {
	char *name;
	size_t line;		/* the first one of a name counts */
	uid_t uid;
};

struct users {
	struct user *users;
	size_t nr, room;
};

static int compare(const void *a, const void *b)
{
	const struct user *one = a, *other = b;
	int names = strcmp(one->name, other->name);

	return names ? names : (one->line > other->line) - (one->line < other->line);
}

static int add_user(struct users *users, const struct passwd *from)
{
	struct user user = { strdup(from->pw_name), users->nr, from->pw_uid };

	if (users->nr == users->room) {
		size_t room = users->room ? 2 * users->room : 64;
		struct user *all = reallocarray(users->users, room, sizeof(*all));

		if (all) {
			users->users = all;
			users->room = room;
		}
	}
	if (!user.name || users->nr == users->room) {
		free(user.name);
		return -1;
	}
	users->users[users->nr++] = user;
	return 0;
}

static int read_users(struct users *users, FILE *file)
{
	const struct passwd *user;

	while ((user = fgetpwent(file)))
		if (add_user(users, user))
			return -1;
	if (ferror(file))
		return -1;
	if (users->nr)
		qsort(users->users, users->nr, sizeof(*users->users), compare);
	return 0;
}

static void free_users(struct users *users)
{
	for (size_t i = 0; i < users->nr; i++)
		free(users->users[i].name);
	free(users->users);
}

static uint64_t find_user(const struct users *users, const char *name)
{
	size_t low = 0, high = users->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(users->users[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < users->nr && !strcmp(users->users[low].name, name) ?
	       users->users[low].uid : USER_NONE;
}

static bool parse_line(char *line, const struct users *users, struct subid_range *range)
{
	const char *name = strsep(&line, ":");
	const char *first = strsep(&line, ":");
	const char *nr = line;

	if (!first || !nr || !*name || !parse_number(first, &range->first) ||
	    !parse_number(nr, &range->nr))
		return false;
	if (!parse_number(name, &range->user))
		range->user = find_user(users, name);
	if (range->user == USER_NONE || !range->user)
		range->user = RANGE_USER + range->first;
	return true;
}

static int add(struct subids *subids, const struct subid_range *range)
{
	struct subid_range *ranges = reallocarray(subids->ranges, subids->nr + 1,
						  sizeof(*ranges));

	if (!ranges)
		return -1;
	subids->ranges = ranges;
	ranges[subids->nr++] = *range;
	return 0;
}

int subids_read(struct subids *subids, FILE *file, FILE *users)
{
	struct subids new = { 0 };
	struct users known = { 0 };
	char *line = NULL;
	size_t size = 0;
	int ret = read_users(&known, users);

	while (!ret && getline(&line, &size, file) > 0) {
		struct subid_range range;

		line[strcspn(line, "\n")] = '\0';
		if (parse_line(line, &known, &range))
			ret = add(&new, &range);
	}
	if (!ret && ferror(file))
		ret = -1;
	free(line);
	free_users(&known);
	if (ret) {
		subids_free(&new);
		return -1;
	}
	subids_free(subids);
	*subids = new;
	return 0;
}

uint64_t subids_user(const struct subids *subids, uid_t uid)
{
	for (size_t i = 0; i < subids->nr; i++)
		if (uid >= subids->ranges[i].first &&
		    uid - subids->ranges[i].first < subids->ranges[i].nr)
			return subids->ranges[i].user;
	return USER_NONE;
}

void subids_free(struct subids *subids)
{
	free(subids->ranges);
	*subids = (struct subids){ 0 };
}
