/* SPDX-License-Identifier: MIT */
/* Datagrams to a service of this machine, without waiting for it. */
#ifndef COMMON_DATAGRAMS_H
#define COMMON_DATAGRAMS_H

#include <stddef.h>

struct datagrams {
	/* Path of the service's socket; "@name" in the abstract namespace.  NULL: no service. */
	const char *path;
	int fd;		/* -1 at first */
};

/* Our socket, or -1 without the service.  Watch it for EPOLLOUT, edge-triggered. */
int datagrams_fd(struct datagrams *to);
/*
 * Sends a datagram, with @fd unless it is -1.  Connects again to a service that was
 * restarted.  Returns 0, or -1 with errno.  After EAGAIN (no room), wait until the socket
 * can be written.
 */
int datagrams_send(struct datagrams *to, const void *bytes, size_t size, int fd);

#endif
