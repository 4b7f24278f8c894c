/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/datagrams.h"
#include "common/fds.h"

/* Connected, because only then does the socket report that its peer has room. */
static int connect_it(const struct datagrams *to)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = to->path ? strlen(to->path) : 0;

	if (!size || size >= sizeof(address.sun_path)) {
		errno = ENOTCONN;
		return -1;
	}
	memcpy(address.sun_path, to->path, size);
	if (*to->path == '@')
		address.sun_path[0] = '\0';
	return connect(to->fd, (const void *)&address, offsetof(struct sockaddr_un, sun_path) + size);
}

int datagrams_fd(struct datagrams *to)
{
	if (to->fd >= 0)
		return to->fd;
	to->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (to->fd >= 0 && connect_it(to))
		fds_close(&to->fd, 1);
	return to->fd;
}

static int try(const struct datagrams *to, const void *bytes, size_t size, int fd)
{
	return fds_send(to->fd, bytes, size, &fd, fd >= 0, MSG_DONTWAIT);
}

int datagrams_send(struct datagrams *to, const void *bytes, size_t size, int fd)
{
	if (datagrams_fd(to) < 0)
		return -1;
	if (!try(to, bytes, size, fd))
		return 0;
	/* Its socket can have been replaced. */
	if (errno != ECONNREFUSED && errno != ENOTCONN)
		return -1;
	return connect_it(to) ? -1 : try(to, bytes, size, fd);
}
