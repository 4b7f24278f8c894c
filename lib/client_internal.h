/* SPDX-License-Identifier: MIT */
/*
 * A client of the broker, as the files client*.c see it:
 *
 *	client_socket	bytes and fds, and how long to wait for them
 *	client_leases	what is known of leases and of requests for them
 *	client_request	one request and its answer
 *	client_watch	news, until the program takes them
 *	client, client_lists, client_reload	the library's functions
 *
 * Each uses those above it.
 */
#ifndef VDB_CLIENT_INTERNAL_H
#define VDB_CLIENT_INTERNAL_H

#include "common/message.h"
#include "internal.h"

/* A lease, or a request for one. */
struct known_lease {
	struct known_lease *next, *former;
	uint64_t request;	/* serial of its acquire; 0: not asked for on this connection */
	uint64_t id;		/* 0: the broker has not sent it yet */
	enum {
		LEASE_ASKED,
		LEASE_HELD,
		LEASE_UNWANTED,	/* to be released, as soon as its id is known */
	} status;
	uint64_t release;	/* serial of the release of an unwanted one; 0: not sent yet */
	bool decided;		/* granted or refused, which has not been reported */
	bool changed;		/* state or end have not been reported */
	bool awaited;		/* a call waits for that: no need to wake the caller */
	int error;		/* refused: errno */
	struct vdb_lease lease;	/* its slice and memory are ours until it is reported */
	enum vdb_state state;
	enum vdb_end end;
	char text[VDP_TEXT];	/* refused: why */
};

struct vdb_client {
	int socket;
	int pending;		/* eventfd: readable if something is to be reported */
	int epoll;		/* of both */
	int timeout_ms;		/* -1: no limit */
	bool limited;		/* the socket has that limit, to receive */
	bool broken;		/* the connection has ended */
	bool owes;		/* releases that the socket has had no room for */
	uint64_t serial;	/* of the last request */
	struct known_lease *leases, *newest;
	unsigned int unwanted;	/* how many are */
	struct news_queue *news;	/* NULL: this client does not watch */
	char error[VDP_TEXT];
};

/* One received message; 0 where the broker's was shorter. */
struct message {
	union message_to_client body;
	int fds[VDP_MAX_FDS];	/* -1: none; only a grant has some */
	bool lost;		/* this process could not receive the grant's fds */
};

/* client_socket.c: -1 with errno and client->error, unless stated. */

#define NO_DEADLINE	UINT64_MAX

/* Nanoseconds of CLOCK_MONOTONIC; NO_DEADLINE for -1. */
uint64_t client_deadline(int ms);
bool client_is_late(uint64_t deadline);
/* Records why, ends the connection, and returns -1. */
int client_break_off(struct vdb_client *client, int error, const char *why);
/* Records why a call fails, and returns -1. */
int client_fail(struct vdb_client *client, int error, const char *why);
/* A connected socket; -1 with errno. */
int client_connect_socket(const char *path, uint64_t deadline);
/* Gives the socket the limit of timeout_ms. */
void client_limit_socket(struct vdb_client *client);
/* The next message.  1; 0: there is none before the deadline, which may be 0. */
int client_receive(struct vdb_client *client, struct message *m, uint64_t deadline);
/* Sends now, with the next serial.  1; 0: there is no room. */
int client_send_now(struct vdb_client *client, struct vdp_header *header, uint32_t type, size_t size);
/* Waits for a message, or for room to send.  False: the deadline has passed. */
bool client_wait(struct vdb_client *client, short events, uint64_t deadline);
bool client_is_text(const char *text, size_t size);
void client_close_fds(struct message *m);

/* client_leases.c */

struct known_lease *client_find_request(const struct vdb_client *client, uint64_t request);
/* A request for a lease that has not been sent; NULL: no memory. */
struct known_lease *client_add_request(struct vdb_client *client);
void client_forget_lease(struct vdb_client *client, struct known_lease *lease);
struct known_lease *client_find_lease(const struct vdb_client *client, uint64_t id);
/* Releases it as soon as possible, and closes what was granted. */
void client_unwant(struct vdb_client *client, struct known_lease *lease);
/* No call waits for it any more: vdb_client_next() reports what has happened to it. */
void client_await_no_more(struct vdb_client *client, struct known_lease *lease);
/* Sends the outstanding releases, as far as there is room. */
void client_pay(struct vdb_client *client);
/*
 * Updates the records by a message.  @answers: the serial of the request that
 * it also answers, or 0.  Takes the fds. -1: the connection has ended.
 */
int client_take(struct vdb_client *client, struct message *m, uint64_t *answers);
int client_errno_of(const struct vdp_error *error);

/* Nothing is to be reported: the fd is not readable for that any more. */
void client_be_quiet(struct vdb_client *client);
/*
 * Reads what the broker has sent until @pending, which returns 1 or 0, has something for
 * @found.  Does not wait.  1; 0: there is nothing; -1 with errno.
 */
int client_next(struct vdb_client *client, int (*pending)(struct vdb_client *client, void *found), void *found);

/* client_watch.c */

/* -1: the connection has ended. */
int client_take_news(struct vdb_client *client, const struct vdp_news *news);
bool client_has_news(const struct vdb_client *client);

/* client_request.c: -1 with errno and client->error. */

int client_send(struct vdb_client *client, struct vdp_header *header, uint32_t type,
		size_t size, uint64_t deadline);
/* The next message that answers the request @serial; an error is -1. */
int client_answer(struct vdb_client *client, uint64_t serial, struct message *m, uint64_t deadline);
/* A request, and its answer of that type. */
int client_request(struct vdb_client *client, struct vdp_header *header, uint32_t type,
		   size_t size, uint32_t answer, struct message *m);

#endif
