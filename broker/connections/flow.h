/* SPDX-License-Identifier: MIT */
/*
 * What is in flight, and what a connection can do next: decisions without I/O and without
 * a clock.
 *
 * Each connection is on the account of its user until the kernel has nothing left of it.
 * The kernel charges messages that a client has not read to this process.  So if a client
 * leaves too much unread, it is sent nothing more, and its requests are not read.  A
 * connection that must wait for others of its user, or for time, waits in line.
 */
#ifndef CONNECTIONS_FLOW_H
#define CONNECTIONS_FLOW_H

#include <sys/queue.h>

#include "bucket.h"
#include "core/table.h"

/*
 * FLOW_ROOM is the value of SO_SNDBUF, the smallest that the kernel accepts.
 * FLOW_MESSAGE is an upper bound of what the kernel charges for a message.  Two messages
 * fit; the kernel can refuse a third.
 */
#define FLOW_ROOM	4608
#define FLOW_MESSAGE	(FLOW_ROOM / 2)

struct flow_limits {
	uint32_t user_fds;		/* in flight to all connections of a user */
	struct bucket_limit requests;	/* of a user */
	struct bucket_limit lines;	/* of the log, because of a user */
	uint64_t hello;			/* microseconds for it; 0: no limit */
	uint64_t idle;			/* microseconds without a request; 0: no limit */
};

extern const struct flow_limits flow_defaults;

struct flow;
TAILQ_HEAD(flow_list, flow);

struct flow_account {
	uint64_t user;			/* first: the table's key */
	uint32_t fds;			/* in flight */
	uint32_t suppressed;		/* lines of the log */
	struct bucket requests, lines;
	uint64_t unused;		/* since when it has had no connection */
	struct flow_list flows;
	struct flow_list want_fds;	/* flows with fds in hand, while too many are in flight */
	struct flow_list want_token;	/* flows with a request that is too early */
	TAILQ_ENTRY(flow_account) entry;	/* in the list of accounts without connections */
	LIST_ENTRY(flow_account) throttled;	/* in the list of accounts with want_token */
};

struct flow {
	struct flow_account *account;
	uint32_t unread;	/* upper bound of the bytes that the client has not read */
	uint32_t fds;		/* sent, and perhaps not read */
	uint32_t hand;		/* fds of the message in hand */
	bool in_hand;		/* there is a message to send */
	bool asked;		/* there is a request in the socket */
	bool paid;		/* the request has its token */
	bool measured;		/* since it was made ready, and nothing was sent since */
	bool greeted;
	bool dropped;
	bool ready;		/* in flows.ready */
	bool wants_fds, wants_token;
	bool timed;		/* in flows.strange or flows.idle */
	uint64_t active;	/* when it connected, or sent its last request */
	TAILQ_ENTRY(flow) of_account, of_ready, of_line, of_time;
};

struct flows {
	struct flow_limits limits;
	struct table accounts;
	struct flow_list ready;		/* flows that may be able to continue */
	struct flow_list strange;	/* flows without a hello; the oldest first */
	struct flow_list idle;		/* flows after the hello; the least active first */
	TAILQ_HEAD(, flow_account) unused;
	uint32_t nr_unused;
	LIST_HEAD(, flow_account) throttled;
};

void flows_init(struct flows *flows, const struct flow_limits *limits);
void flows_free(struct flows *flows);

/* -1: no memory. */
int flow_open(struct flows *flows, struct flow *flow, uint64_t user, uint64_t now);
/* A flow of a former process: messages of that can be unread. */
void flow_inherit(struct flow *flow);
/* Nothing is left of it. */
void flow_close(struct flows *flows, struct flow *flow, uint64_t now);

/* What happens to a flow.  Each makes it ready. */
void flow_asked(struct flows *flows, struct flow *flow);	/* there is a request to read */
void flow_has_read(struct flows *flows, struct flow *flow);	/* the client has perhaps read */
void flow_put_in_hand(struct flows *flows, struct flow *flow, uint32_t fds);
void flow_drop(struct flows *flows, struct flow *flow);
void flow_greeted(struct flows *flows, struct flow *flow, uint64_t now);

/* Takes the next flow that is ready, or NULL. */
struct flow *flows_next_ready(struct flows *flows);

enum flow_step {
	FLOW_MEASURE,		/* measure how much is unread, and call flow_measured() */
	FLOW_SEND,		/* send what is in hand, and call flow_sent() */
	FLOW_RECEIVE,		/* read the request, and call flow_received() */
	FLOW_CLOSE,		/* it is dropped, and nothing is unread */
	FLOW_AWAIT_READER,	/* wait until the client reads, and call flow_has_read() */
	FLOW_AWAIT_REQUEST,	/* wait for one, and call flow_asked() */
	FLOW_AWAIT_TURN,	/* wait; it is made ready in its turn */
};

enum flow_step flow_next(struct flows *flows, struct flow *flow, uint64_t now);

/* @bytes: SIOCOUTQ. */
void flow_measured(struct flows *flows, struct flow *flow, uint32_t bytes);
/* The message in hand was sent or, if @sent is false, refused by the socket. */
void flow_sent(struct flow *flow, bool sent);
/* Whether another message can be sent, besides the one in hand. */
bool flow_has_room(const struct flow *flow);
/* An answer was sent. */
void flow_answered(struct flow *flow);
/* @handled: whether there was a request. */
void flow_received(struct flows *flows, struct flow *flow, bool handled, uint64_t now);

/* A flow whose time is over, or NULL.  If it can stay, call flow_stays(). */
struct flow *flows_late(const struct flows *flows, uint64_t now);
void flow_stays(struct flows *flows, struct flow *flow, uint64_t now);
/* Makes flows ready whose time has come.  Returns when to call it again, or UINT64_MAX. */
uint64_t flows_tick(struct flows *flows, uint64_t now);
/* Forgets one account without connections.  False: there is none to forget. */
bool flows_forget(struct flows *flows, uint64_t now, uint64_t *user, uint32_t *suppressed);

/* Whether a line because of a user can be logged; how many were suppressed before it. */
bool flows_may_log(struct flows *flows, uint64_t user, uint64_t now, uint32_t *suppressed);

#endif
