/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fds.h"
#include "manager.h"

static int manager = -1;

/* Connected, because only then does the socket report that its peer has room. */
static int connect_it(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = path ? strlen(path) : 0;

	if (!size || size >= sizeof(address.sun_path)) {
		errno = ENOTCONN;
		return -1;
	}
	memcpy(address.sun_path, path, size);
	if (*path == '@')
		address.sun_path[0] = '\0';
	return connect(manager, (void *)&address, offsetof(struct sockaddr_un, sun_path) + size);
}

int manager_fd(void)
{
	if (manager >= 0)
		return manager;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (manager >= 0 && connect_it())
		fds_close(&manager, 1);
	return manager;
}

static int try(const char *text, int fd)
{
	return fds_send(manager, text, strlen(text), &fd, fd >= 0, MSG_DONTWAIT);
}

int manager_send(const char *text, int fd)
{
	if (manager_fd() < 0)
		return -1;
	if (!try(text, fd))
		return 0;
	/* Its socket can have been replaced. */
	if (errno != ECONNREFUSED && errno != ENOTCONN)
		return -1;
	return connect_it() ? -1 : try(text, fd);
}
