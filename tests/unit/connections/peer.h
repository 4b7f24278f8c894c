/* SPDX-License-Identifier: MIT */
/* The other end of a connection: what clients do, and what attackers do. */
#ifndef TESTS_CONNECTIONS_PEER_H
#define TESTS_CONNECTIONS_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/* Whose account the connections of this process are on from now on. */
void peer_become(unsigned int user);
/* A connection to the socket at @path. */
int peer_connect(const char *path);
/* Sends a packet; -1 with errno if it cannot, also if there is no room. */
int peer_send(int fd, const void *packet, size_t size);
/* The same with a packet of one byte. */
int peer_ask(int fd, char type);
/* The first byte of the next message, waiting for it; 0: closed.  Fds are closed. */
int peer_read(int fd, unsigned int *nr_fds);
/* Asks and reads the answer; the test fails if that is not of the same type. */
void peer_call(int fd, char type);
/* Sends it repeatedly, until the server no longer reads. Returns how often. */
unsigned int peer_send_and_not_read(int fd, const void *packet, size_t size);

#endif
