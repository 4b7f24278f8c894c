/* SPDX-License-Identifier: MIT */
/*
 * Entries for the journal, as datagrams of its native protocol.  libsystemd's functions
 * wait while the queue of the journal's socket is full.  Any user can fill that queue, and
 * the loop must not wait.
 */
#ifndef SHELL_JOURNAL_SOCKET_H
#define SHELL_JOURNAL_SOCKET_H

#include <sys/uio.h>

/* The socket, or -1 without a journal.  Watch it for EPOLLOUT, edge-triggered. */
int journal_socket_fd(void);
/*
 * Sends an entry, or keeps it until there is room.  Each field is "NAME=value".  If too many
 * are kept, it is lost, and an entry will say so.
 */
void journal_socket_send(const struct iovec *fields, unsigned int nr);
/* There is room again. */
void journal_socket_go_on(void);

#endif
