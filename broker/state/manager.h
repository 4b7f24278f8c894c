/* SPDX-License-Identifier: MIT */
/*
 * The loop's messages to the service manager.  libsystemd's functions wait until the
 * manager has room for a message.  The loop must not: the manager does not read while it
 * reloads its units, for example.
 */
#ifndef STATE_MANAGER_H
#define STATE_MANAGER_H

/* The socket, or -1 without a manager.  Watch it for EPOLLOUT, edge-triggered. */
int manager_fd(void);
/*
 * Sends a message.  @fd goes with it, unless it is -1.  Returns 0, or -1 with errno.  After
 * EAGAIN (no room), manager_fd() reports when to try again.
 */
int manager_send(const char *text, int fd);

#endif
