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
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity.h"

/* Linux 6.5. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif

static void read_cgroup(struct identity *who)
{
	char path[64], line[sizeof(who->cgroup) + 8];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", who->pid);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "0::/", 4) || !strchr(line, '\n'))
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (strlen(line + 3) < sizeof(who->cgroup))
			strcpy(who->cgroup, line + 3);
	}
	fclose(file);
}

static bool is_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

int identity_of_peer(int socket, struct identity *who, int *pidfd)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	*who = (struct identity){ 0 };
	*pidfd = -1;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size))
		return -1;
	who->pid = credentials.pid;
	who->uid = credentials.uid;
	who->gid = credentials.gid;

	size = sizeof(who->groups);
	if (!getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, who->groups, &size))
		who->nr_groups = size / sizeof(gid_t);

	size = sizeof(*pidfd);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, pidfd, &size)) {
		*pidfd = -1;
		return -1;
	}
	read_cgroup(who);
	if (!is_alive(*pidfd)) {
		close(*pidfd);
		*pidfd = -1;
		errno = ESRCH;
		return -1;
	}
	return 0;
}
