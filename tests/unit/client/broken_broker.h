/* SPDX-License-Identifier: MIT */
/*
 * The library's client with a faulty broker: it hangs, answers late, twice, out of
 * order or in parts, answers about unknown leases, or sends too many fds.  The broker
 * is a child of the test, with a script for each test.  The guest tests run the client
 * with the real broker.
 */
#ifndef CLIENT_BROKEN_BROKER_H
#define CLIENT_BROKEN_BROKER_H

#include <stdio.h>
#include <unistd.h>
#include <vfio-dmabuf-protocol.h>

#include "common/message.h"
#include "internal.h"
#include "suite.h"

#define SHORT_MS	100	/* for what never comes */
#define LONG_MS		60000	/* room for a message */
#define PAGE		4096
#define NOT_ASKED	(1ULL << 40)	/* a serial that no request has had */

extern char path[64];			/* of the broker's socket */
extern int listening, file;		/* the socket; a file that stands for a DMABUF */
extern pid_t broker;			/* 0: there is none */
extern struct vdb_client *client;
extern int variant;			/* of a test, for its script */

/* When a system call of the client waits until the broker has closed the connection. */
extern enum wait { NEVER, BEFORE_SENDING, BEFORE_RECEIVING } wait_for_end;
/* The broker is faster than the client: the client always finds a message. */
extern bool always_a_message;

/* ---- the broker ---- */

typedef void script(int fd);

/* In the broker: ends it, so that the test fails. */
#define must(what) do {							\
	if (!(what)) {							\
		fprintf(stderr, "%s:%d: the broker misses: %s\n", __FILE__, __LINE__, #what); \
		_exit(1);						\
	}								\
} while (0)

/* A broker with this script, after a hello if that is @greeted. */
void start(script *fn, bool greeted);
/* Receives a request, which must be of this type. */
union message_to_broker ask(int fd, uint32_t type);
void expect_release(int fd, uint64_t lease);
/*
 * The request of connection_works().  When that returns, the client has handled all
 * messages before the answer.
 */
uint64_t ask_renew(int fd);
void answer_renew(int fd);
void answer_hello(int fd, uint32_t version);
/* Sends a message, with copies of @file as its fds. */
void say(int fd, const void *message, size_t size, unsigned int nr_fds);
void say_waiting(int fd, uint64_t serial, uint64_t lease);
void say_grant(int fd, uint64_t serial, uint64_t lease);
/* @size: bytes of the memfd.  @nr: 3 fds, or 4 with one for an interrupt. */
void say_memory(int fd, const struct vdp_grant *grant, size_t size, bool sealed, unsigned int nr);
void say_with_memory(int fd, const struct vdp_grant *grant, size_t size, bool sealed);
void say_state(int fd, uint64_t serial, uint64_t lease, uint32_t state);
void say_end(int fd, uint64_t serial, uint64_t lease, uint64_t answers, uint32_t end);
void say_renewed(int fd, uint64_t serial, uint32_t seconds);
void say_error(int fd, uint64_t serial, uint32_t code);
void say_slice(int fd, uint64_t serial, uint32_t item, const char *name);
void say_plain(int fd, uint64_t serial, uint32_t type);
void say_news(int fd, uint64_t serial, uint64_t lease, uint32_t type, uint64_t missed);

/* ---- the test ---- */

/* A group whose tests have a socket, and which ends a client or broker that hangs. */
TCase *add_broken_group(Suite *s, const char *name);
void connect_to(script *fn);
/* Returns the reason as text. */
const char *connect_fails(int error);
int acquire(uint32_t wait_ms, struct vdb_lease *lease);
uint64_t acquire_start(void);
/* For vdb_client_slices(). */
bool ignore_slice(const struct vdb_slice_info *info, void *data);
struct vdb_event next_event(void);
void nothing_to_report(void);
/* The connection continues, and the client has handled all earlier messages. */
void connection_works(void);
/* The connection has ended: every call fails. */
void check_ended(void);
int count_fds(void);
/* Ends the client.  The broker has received everything. */
void done(void);

#endif
