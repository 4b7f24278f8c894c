/* SPDX-License-Identifier: MIT */
/* Messages with file descriptors, and closing these. */
#ifndef COMMON_FDS_H
#define COMMON_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FDS_MAX	8	/* in a message */

/* Closes an fd, unless it is -1, and keeps errno. */
void fd_close(int fd);
/* The same for @nr of them, and sets them to -1. */
void fds_close(int *fds, unsigned int nr);

/*
 * sendmsg() of one message with at most FDS_MAX fds; @flags: in addition to
 * MSG_NOSIGNAL.  0, or -1 with errno: EMSGSIZE if only a part was sent.
 */
int fds_send(int socket, const void *data, size_t size, const int *fds, unsigned int nr, int flags);

/*
 * recvmsg() of one message.  @fds receives all fds, and -1 after them.  If there are more
 * than @max fds, or fds without data, this closes them and returns -1 with EPROTO.  It
 * also returns that if the data is longer than @size.  0: the other end is closed.  A
 * signal ends it with EINTR, and then nothing was received.
 *
 * It discards what else the kernel adds (credentials, a security label, a pidfd).
 *
 * @lost: the data was received, but the kernel could not open all fds, so @fds has none.
 * This process has reached its limit of fds.  (If a security module denies them, it looks
 * the same.)
 */
ssize_t fds_receive(int socket, void *data, size_t size, int *fds, unsigned int max, int flags, bool *lost);

#endif
