/* SPDX-License-Identifier: MIT */
/*
 * Connections: packets come in, packets and fds go out.  Each connection is on the
 * account of its user until the kernel has nothing left of it.
 *
 * A request stays in its socket until it has been handled.  If this process dies, the
 * next one finds it there.  Besides what is in the socket, at most one message for each
 * client is held here.  The requests of a client that does not read are not read.
 *
 * Watches are in an epoll instance of the caller, whose loop is:
 *
 *	until = connections_work(connections, now);
 *	n = epoll_wait(epoll, events, ..., until then, or earlier);
 *	for each event: watch = data.ptr; watch->on_event(watch, events);
 *
 * Only connections_work() frees what an event can point to.
 */
#ifndef CONNECTIONS_CONNECTIONS_H
#define CONNECTIONS_CONNECTIONS_H

#include "core/event.h"
#include "flow.h"
#include "watch.h"

#define PACKET_MAX	512	/* bytes, either way */

enum packet_outcome {
	PACKET_DONE,		/* handled: it is taken out of the socket */
	PACKET_LATER,		/* it stays; it comes again with connections_go_on(), or earlier */
	PACKET_DROP,		/* the connection must end */
};

/*
 * Functions of the caller.  They can call any connections_*() but connections_work().
 */
struct connections_calls {
	/* EVENT_CONNECT, EVENT_DROPPED, EVENT_GONE or EVENT_SENT. */
	void (*event)(void *shell, const struct event *event);
	/*
	 * A packet of a client that has no message in hand, and room for one answer.  If @size is
	 * more than PACKET_MAX, @data has only PACKET_MAX bytes of it.  @fds: it had fds, which
	 * were not received.  In both cases it can be answered, and then the client is dropped.
	 */
	enum packet_outcome (*packet)(void *shell, uint64_t client, const void *data, size_t size,
			      bool fds);
	/* Whether a client has no leases and waits for none, so that it can be dropped if idle. */
	bool (*has_nothing)(void *shell, uint64_t client);
	/* A line to log at LOG_INFO.  The limits have been applied. */
	void (*log)(void *shell, const char *line);
};

struct connections;

/* The caller keeps @epoll and @calls.  NULL: no memory. */
struct connections *connections_new(int epoll, const struct flow_limits *limits,
				    const struct connections_calls *calls, void *shell);
/* Closes everything; clients whose sockets are stored do not notice. */
void connections_free(struct connections *connections);
void connections_set_limits(struct connections *connections, const struct flow_limits *limits);
/* Takes ownership of @fd if it succeeds.  -1 with errno. */
int connections_listen(struct connections *connections, int fd);

/*
 * Adopts a connection of a former process, without EVENT_CONNECT.  Always takes ownership of
 * @fd.  The identity is valid until EVENT_GONE.  NULL: the client cannot be served, and the
 * socket is shut down and closed.
 */
const struct identity *connections_adopt(struct connections *connections, int fd, uint64_t client,
					 uint64_t *user);

/*
 * Does what there is to do.  Call it before each wait, and after events from elsewhere.
 * @now: microseconds of CLOCK_BOOTTIME.
 * Returns the time at which to call it again, in microseconds of CLOCK_BOOTTIME.
 */
uint64_t connections_work(struct connections *connections, uint64_t now);

/* All of these ignore a @client that is not known or is dropped. */

/* EFFECT_REPLY: to the packet that is being handled.  False: no room, or no reader. */
bool connections_reply(struct connections *connections, uint64_t client,
		       const void *data, size_t size);
/* A packet that was to come later can be handled now. */
void connections_go_on(struct connections *connections, uint64_t client);
/*
 * EFFECT_SEND.  Takes ownership of @fds, and closes them when they have been sent or cannot
 * be sent.  EVENT_SENT follows, unless the connection ends before.
 */
void connections_send(struct connections *connections, uint64_t client, const void *data,
		      size_t size, const int *fds, unsigned int nr);
/* EFFECT_DROP: EVENT_GONE follows. */
void connections_drop(struct connections *connections, uint64_t client, const char *why);
/* The client has said hello, for which its time was limited. */
void connections_set_greeted(struct connections *connections, uint64_t client);
/* Its socket, for the fd store; -1: none. */
int connections_fd(const struct connections *connections, uint64_t client);

/*
 * Whether a line because of a user can be logged.  If so, @suppressed is the number of lines
 * that were suppressed since the last one.
 */
bool connections_may_log(struct connections *connections, uint64_t user, uint64_t now,
			 uint32_t *suppressed);

#endif
