/* SPDX-License-Identifier: MIT */
/*
 * A process that serves connections as the broker does, with requests of one byte in
 * place of its protocol; more bytes may follow, but for exactly one:
 *
 *	h	hello
 *	p	an answer of 8 bytes
 *	b	one of PACKET_MAX bytes
 *	g	nothing; then a message of PACKET_MAX bytes with two fds is sent
 *	l	SERVER_LIST answers of PACKET_MAX bytes
 *	x	an answer, and the end of the connection
 *	e	an answer; there are no fds left from now on
 *	r	likewise, and fewer than are open
 *	R	an answer; there are fds again
 *
 * The processes of the test choose their users: see peer.h.
 */
#ifndef TESTS_CONNECTIONS_SERVER_H
#define TESTS_CONNECTIONS_SERVER_H

#include <sys/resource.h>
#include <sys/types.h>

#include "connections.h"

#define SERVER_LIST	50

struct server_options {
	struct flow_limits limits;
	uint32_t per_user;	/* connections; 0: any number */
	rlim_t nofile;		/* 0: as it is */
	int adopt;		/* a socket of a former process, or -1 */
};

/* Counters that the test can read at any time. */
struct server_stats {
	uint32_t turns;		/* of its loop */
	uint32_t connected, dropped, gone;
	uint32_t refused;
	uint32_t sent, unsent;
	uint32_t handled[256];	/* requests, by user */
	uint32_t open[256];	/* connections, by user */
	uint32_t most_open[256];
	uint32_t lines;		/* logged */
	uint32_t suppressed;	/* lines that reported that */
};

struct server {
	pid_t pid;
	char path[64];		/* of its socket */
	volatile struct server_stats *stats;
};

#define ADOPTED	77	/* the id of the adopted connection */

struct server_options server_options(void);
struct server server_start(const struct server_options *options);
void server_stop(struct server *server);
/* Gives this process the server's user. */
void server_become_user(void);
/* How many fds it has open. */
unsigned int server_fds(const struct server *server);
/* Waits until a condition of its stats holds; the test ends if it never does. */
#define server_wait(condition) \
	do { } while (!(condition) && !usleep(100))

#endif
