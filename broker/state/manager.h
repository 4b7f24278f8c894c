/* SPDX-License-Identifier: MIT */
/*
 * The loop's messages to the service manager.  libsystemd's functions wait until the
 * manager has room for a message.  The loop must not: the manager does not read while it
 * reloads its units, for example.
 */
#ifndef STATE_MANAGER_H
#define STATE_MANAGER_H

/* The socket, to be watched for EPOLLOUT, edge-triggered.  -1: there is no manager. */
int manager_fd(void);
/*
 * Sends a message with @fd, or -1.  0, or -1 with errno; EAGAIN: there is no room, and
 * manager_fd() will report when there is.
 */
int manager_send(const char *text, int fd);

#endif
