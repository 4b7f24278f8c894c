/* SPDX-License-Identifier: MIT */
/*
 * Finding out who is at the other end of a socket, in the kernel's words.
 *
 * The cgroup is read by process id, which might be another process's by then:
 * it counts only if the process behind the pidfd is still alive afterwards.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity.h"

/* Linux 6.5. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif

/*
 * The line of cgroup v2.  Only whole lines count: names are the users' own, and
 * what is inside one may look like another line's begin.
 */
static void read_cgroup(struct identity *who)
{
	char path[64], *line = NULL;
	size_t size = 0;
	ssize_t length;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", who->pid);
	file = fopen(path, "re");
	if (!file)
		return;
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
	fclose(file);
}

static bool is_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static int read_groups(int socket, struct identity *who)
{
	socklen_t size = 0;

	/* The first time the kernel says how much room it takes. */
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

static int read_identity(int socket, struct identity *who, int *pidfd)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size))
		return -1;
	who->pid = credentials.pid;
	who->uid = credentials.uid;
	who->gid = credentials.gid;
	size = sizeof(*pidfd);
	if (read_groups(socket, who) || getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, pidfd, &size))
		return -1;
	read_cgroup(who);
	if (is_alive(*pidfd))
		return 0;
	errno = ESRCH;
	return -1;
}

int identity_of_peer(int socket, struct identity *who, int *pidfd)
{
	*who = (struct identity){ 0 };
	*pidfd = -1;
	if (!read_identity(socket, who, pidfd))
		return 0;
	if (*pidfd >= 0)
		close(*pidfd);
	*pidfd = -1;
	identity_free(who);
	return -1;
}

void identity_free(struct identity *who)
{
	free(who->groups);
	who->groups = NULL;
}
