/* SPDX-License-Identifier: MIT */
/* Functions for a connected socket.  None of them waits. */
#ifndef CONNECTIONS_SOCKET_H
#define CONNECTIONS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Fds that a peer has sent are not received, but closed with the packet.  If that is the
 * last reference, the peer chooses how long closing waits (a TCP socket with SO_LINGER).  A
 * signal ends such a wait.  So a timer sends SIGALRM while packets are thrown away.  This
 * sets up its handler.  All other threads must block SIGALRM.
 */
void socket_init(void);
/* Starts or stops the timer that ends such waits. */
void socket_hurry(bool on);
/* Limits its send buffer.  @cookie: the kernel's number of the socket. */
int socket_prepare(int fd, uint64_t *cookie);
/*
 * Reads the next packet and leaves it in the socket.  Returns its size, which can be more
 * than @room.  @flawed: it is, or the packet has fds, which are not received.  0: closed;
 * -1 with errno.
 */
ssize_t socket_peek(int fd, void *data, size_t room, bool *flawed);
/* Takes the next packet out of the socket. */
void socket_take_out(int fd);
/* Whether the peer has closed it, or either side has shut it down for both directions. */
bool socket_is_shut(int fd);
/* Bytes that the kernel charges for what the peer has not read. */
uint32_t socket_unread(int fd);
/* Closes a socket that was accepted or listens, also if there is more to receive. */
void socket_close(int fd);
/* Ends receiving and sending.  The peer can still read what was sent. */
void socket_shut_down(int fd);

#endif
