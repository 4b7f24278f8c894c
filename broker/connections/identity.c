/* SPDX-License-Identifier: MIT */
/*
 * The cgroup is read by process id, and the user follows from the cgroup.  Another
 * process can have the id by then.  So the result counts only if the process that
 * connected still runs afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/fds.h"
#include "identity.h"
#include "peer_user.h"

/* Linux 6.5. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif

/*
 * Finds the line of cgroup v2.  Only whole lines count: users choose names, and a name
 * can contain what looks like the begin of a line.  sd_peer_get_cgroup() takes " (deleted)"
 * off the end of a name, and so takes "a (deleted)" for "a".
 */
static int find_cgroup(FILE *file, struct identity *who)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	errno = 0;
	while ((length = getline(&line, &size, file)) > 0) {
		if (strncmp(line, "0::/", 4))
			continue;
		if (line[length - 1] == '\n' && (size_t)length - 4 < sizeof(who->cgroup)) {
			line[length - 1] = '\0';
			strcpy(who->cgroup, line + 3);
		}
		break;
	}
	free(line);
	return errno ? -1 : 0;
}

/*
 * A cgroup that /proc does not show has no name.  It is an error if a cgroup cannot be
 * read for lack of fds or memory: the process would have fewer rights, and another
 * user.
 */
static int read_cgroup(struct identity *who)
{
	char path[64];
	FILE *file;
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", who->pid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT || errno == EACCES ? 0 : -1;
	ret = find_cgroup(file, who);
	fclose(file);
	return ret;
}

static bool is_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static int read_groups(int socket, struct identity *who)
{
	socklen_t size = 0;

	/* This call only returns the size. */
	if (!getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, NULL, &size))
		return 0;
	if (errno != ERANGE)
		return -1;
	who->groups = malloc(size);
	if (!who->groups || getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, who->groups, &size))
		return -1;
	who->nr_groups = size / sizeof(gid_t);
	return 0;
}

static int read_identity(int socket, struct identity *who, int *pidfd, uint64_t *user)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size))
		return -1;
	who->pid = credentials.pid;
	who->uid = credentials.uid;
	who->gid = credentials.gid;
	size = sizeof(*pidfd);
	if (read_groups(socket, who) ||
	    getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, pidfd, &size) ||
	    read_cgroup(who) || user_of_peer(socket, who, user))
		return -1;
	if (is_alive(*pidfd))
		return 0;
	errno = ESRCH;
	return -1;
}

int identity_of_peer(int socket, struct identity *who, int *pidfd, uint64_t *user)
{
	*who = (struct identity){ 0 };
	*pidfd = -1;
	if (!read_identity(socket, who, pidfd, user))
		return 0;
	fds_close(pidfd, 1);
	identity_free(who);
	return -1;
}

void identity_free(struct identity *who)
{
	free(who->groups);
	who->groups = NULL;
}
