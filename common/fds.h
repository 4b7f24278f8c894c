/* SPDX-License-Identifier: MIT */
/* Messages with file descriptors, and closing these. */
#ifndef COMMON_FDS_H
#define COMMON_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FDS_MAX	8	/* of a message */

/* Closes an fd, unless it is -1, and keeps errno. */
void fd_close(int fd);
/* The same for @nr of them, which become -1. */
void fds_close(int *fds, unsigned int nr);

/*
 * sendmsg() of one message with at most FDS_MAX fds; @flags: beside MSG_NOSIGNAL.
 * 0, or -1 with errno: EMSGSIZE if only a part was sent.
 */
int fds_send(int socket, const void *data, size_t size, const int *fds, unsigned int nr, int flags);

/*
 * recvmsg() of one message.  All fds that are received are in @fds, -1 after them.  If
 * there are more than @max, or some without a byte of data, they are closed, and the
 * result is -1 with EPROTO; so it is if the data is longer than @size.  0: the other end
 * is closed.  A signal ends it with EINTR, before anything was received.
 *
 * What else the kernel adds (credentials, a security label, a pidfd) is thrown away.
 *
 * @lost: the data is there, but not all fds could be opened, so none is: this process has
 * as many as it may (or a security module forbids them, which looks the same).
 */
ssize_t fds_receive(int socket, void *data, size_t size, int *fds, unsigned int max, int flags, bool *lost);

#endif
