/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/container.h"
#include "common/fds.h"
#include "connections.h"
#include "identity.h"
#include "listener.h"
#include "socket.h"

#define MAX_FDS	4	/* that a message carries */

struct connection {
	uint64_t id;			/* first: the table's key */
	struct connections *connections;
	struct watch watch;		/* of the socket */
	struct watch death;		/* of the process */
	struct flow flow;
	struct identity who;
	int fd, pidfd;
	bool unanswered;		/* an answer could not be sent */
	struct connection *next_closed;
	/* In hand, if flow.in_hand. */
	size_t size;
	unsigned int nr_fds;
	int fds[MAX_FDS];
	unsigned char data[PACKET_MAX];
};

struct connections {
	int epoll;
	const struct connections_calls *calls;
	void *shell;
	struct flows flows;
	struct listener listener;
	struct table table;
	struct connection *closed;	/* freed before the next wait */
};

static struct connection *find(const struct connections *connections, uint64_t client)
{
	struct connection *connection = table_find(&connections->table, client);

	return connection && !connection->flow.dropped ? connection : NULL;
}

static void report(const struct connection *connection, enum event_type type, bool ok)
{
	const struct connections *connections = connection->connections;
	const struct event event = { .type = type, .client = connection->id, .ok = ok };

	connections->calls->event(connections->shell, &event);
}

/* ---- log ---- */

__attribute__((format(printf, 2, 3)))
static void log_line(struct connections *connections, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	connections->calls->log(connections->shell, line);
}

static void log_suppressed(struct connections *connections, uint64_t user, uint32_t nr)
{
	if (nr)
		log_line(connections, "user %llu: suppressed %u lines",
			 (unsigned long long)user, nr);
}

static void log_drop(struct connection *connection, const char *why)
{
	struct connections *connections = connection->connections;
	uint64_t user = connection->flow.account->user;
	uint32_t suppressed;

	if (!flows_may_log(&connections->flows, user, clock_now(), &suppressed))
		return;
	log_suppressed(connections, user, suppressed);
	log_line(connections, "client %llu (pid %d, uid %u) disconnected: %s",
		 (unsigned long long)connection->id, connection->who.pid, connection->who.uid, why);
}

/* ---- the end ---- */

static void close_fds(struct connection *connection)
{
	fds_close(connection->fds, connection->nr_fds);
	connection->nr_fds = 0;
}

static void stop_watching_death(struct connection *connection)
{
	fds_close(&connection->pidfd, 1);
}

/* The connection stays in the table and on its account until it is closed. */
static void stop_serving(struct connection *connection, const char *why)
{
	log_drop(connection, why);
	flow_drop(&connection->connections->flows, &connection->flow);
	close_fds(connection);
	stop_watching_death(connection);
	socket_shut_down(connection->fd);
}

static void drop(struct connection *connection, const char *why)
{
	if (connection->flow.dropped)
		return;
	stop_serving(connection, why);
	report(connection, EVENT_DROPPED, false);
}

/* The fd store can keep the socket open. Epoll would then continue to watch it. */
static void close_connection(struct connection *connection)
{
	struct connections *connections = connection->connections;

	epoll_ctl(connections->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	socket_close(connection->fd);
	connection->fd = -1;
	report(connection, EVENT_GONE, false);
	flow_close(&connections->flows, &connection->flow, clock_now());
	table_remove(&connections->table, connection);
	connection->next_closed = connections->closed;
	connections->closed = connection;
}

static void free_connection(struct connection *connection)
{
	identity_free(&connection->who);
	free(connection);
}

static void free_closed(struct connections *connections)
{
	while (connections->closed) {
		struct connection *connection = connections->closed;

		connections->closed = connection->next_closed;
		free_connection(connection);
	}
}

/* ---- serving ---- */

static void await(struct connection *connection, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = &connection->watch };

	if (connection->watch.events == events)
		return;
	connection->watch.events = events;
	epoll_ctl(connection->connections->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static bool has_no_reader(int error)
{
	return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

/* The kernel can have too many fds in flight. The client can be notified of that. */
static void send_in_hand(struct connection *connection)
{
	bool sent = !fds_send(connection->fd, connection->data, connection->size,
			      connection->fds, connection->nr_fds, MSG_DONTWAIT);
	bool lost = !sent && (!connection->nr_fds || has_no_reader(errno));

	flow_sent(&connection->flow, sent);
	close_fds(connection);
	if (lost)
		drop(connection, "it does not read, so nothing can be sent to it");
	else
		report(connection, EVENT_SENT, sent);
}

static enum packet_outcome hand_over(struct connection *connection, const void *data, size_t size,
			     bool flawed)
{
	const struct connections *connections = connection->connections;

	return connections->calls->packet(connections->shell, connection->id, data, size,
					  flawed && size <= PACKET_MAX);
}

/* True if the remaining answers must wait. */
static bool receive(struct connection *connection, uint64_t time)
{
	struct flows *flows = &connection->connections->flows;
	unsigned char data[PACKET_MAX];
	enum packet_outcome outcome;
	bool flawed;
	ssize_t size = socket_peek(connection->fd, data, sizeof(data), &flawed);

	if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
		flow_received(flows, &connection->flow, false, time);
		return false;
	}
	if (size <= 0) {
		drop(connection, size ? strerror(errno) : "it has closed the connection");
		return false;
	}
	outcome = hand_over(connection, data, size, flawed);
	if (flawed || outcome == PACKET_DROP)
		drop(connection, "it does not keep to the protocol");
	else if (connection->unanswered)
		drop(connection, "it does not read, so nothing can be sent to it");
	if (connection->flow.dropped)
		return false;
	if (outcome == PACKET_LATER)
		return true;
	socket_take_out(connection->fd);
	flow_received(flows, &connection->flow, true, time);
	return false;
}

/* Edge-triggered: the kernel reports each message that is read. */
static void await_reader(struct connection *connection)
{
	await(connection, EPOLLOUT | EPOLLET);
}

static void serve(struct connection *connection)
{
	struct flows *flows = &connection->connections->flows;
	uint64_t time = clock_now();

	for (;;) {
		switch (flow_next(flows, &connection->flow, time)) {
		case FLOW_MEASURE:
			flow_measured(flows, &connection->flow, socket_unread(connection->fd));
			break;
		case FLOW_SEND:
			send_in_hand(connection);
			break;
		case FLOW_RECEIVE:
			if (!receive(connection, time))
				break;
			/* Other clients get their turn, regardless of how fast this one reads. */
			await_reader(connection);
			return;
		case FLOW_CLOSE:
			close_connection(connection);
			return;
		case FLOW_AWAIT_READER:
			await_reader(connection);
			return;
		case FLOW_AWAIT_REQUEST:
			await(connection, EPOLLIN);
			return;
		case FLOW_AWAIT_TURN:
			await(connection, 0);
			return;
		}
	}
}

static void serve_ready(struct connections *connections)
{
	struct flow *flow;

	while ((flow = flows_next_ready(&connections->flows)))
		serve(CONTAINER(flow, struct connection, flow));
}

static void on_socket(struct watch *watch, uint32_t events)
{
	struct connection *connection = CONTAINER(watch, struct connection, watch);
	struct flows *flows = &connection->connections->flows;

	if (connection->fd < 0)
		return;
	/* If it has only shut its socket down, unread messages are still there. */
	if (events & (EPOLLHUP | EPOLLERR))
		drop(connection, "it has closed the connection");
	if (events & EPOLLIN && !connection->flow.dropped)
		flow_asked(flows, &connection->flow);
	else
		flow_has_read(flows, &connection->flow);
	serve_ready(connection->connections);
}

static void on_death(struct watch *watch, uint32_t events)
{
	struct connection *connection = CONTAINER(watch, struct connection, death);

	(void)events;
	if (connection->pidfd < 0)
		return;
	drop(connection, "its process has ended");
	serve_ready(connection->connections);
}

/* ---- the beginning ---- */

/* Microseconds, of this thread. */
static uint64_t processor_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1000000ULL + time.tv_nsec / 1000;
}

static int start_watching(struct connection *connection)
{
	struct epoll_event socket = { .events = EPOLLIN, .data.ptr = &connection->watch };
	struct epoll_event death = { .events = EPOLLIN, .data.ptr = &connection->death };
	int epoll = connection->connections->epoll;

	connection->watch = (struct watch){ .on_event = on_socket, .events = EPOLLIN };
	connection->death = (struct watch){ .on_event = on_death, .events = EPOLLIN };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &socket))
		return -1;
	if (!epoll_ctl(epoll, EPOLL_CTL_ADD, connection->pidfd, &death))
		return 0;
	epoll_ctl(epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	return -1;
}

/* Everything but the account. */
static int set_up(struct connection *connection, uint64_t *user)
{
	struct connections *connections = connection->connections;

	if (socket_prepare(connection->fd, &connection->id) ||
	    !table_reserve(&connections->table, 1) ||
	    identity_of_peer(connection->fd, &connection->who, &connection->pidfd, user))
		return -1;
	return start_watching(connection);
}

static void undo(struct connection *connection)
{
	stop_watching_death(connection);
	free_connection(connection);
}

/* @client: the id; 0: use the kernel's number of the socket, which no other socket has. */
static struct connection *add(struct connections *connections, int fd, uint64_t client,
			      uint64_t *user)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->connections = connections;
	connection->fd = fd;
	connection->pidfd = -1;
	if (set_up(connection, user) ||
	    flow_open(&connections->flows, &connection->flow, *user, clock_now())) {
		epoll_ctl(connections->epoll, EPOLL_CTL_DEL, fd, NULL);
		undo(connection);
		return NULL;
	}
	if (client)
		connection->id = client;
	table_add(&connections->table, connection);
	return connection;
}

static void accept_connection(struct connections *connections)
{
	int fd = listener_accept(&connections->listener, connections->epoll, clock_now());
	struct connection *connection;
	struct event event = { .type = EVENT_CONNECT };

	if (fd < 0)
		return;
	/* Most connections of an attack, and far cheaper than to find out whose it is. */
	if (socket_is_shut(fd)) {
		socket_close(fd);
		return;
	}
	connection = add(connections, fd, 0, &event.user);
	if (!connection) {
		socket_close(fd);
		return;
	}
	event.client = connection->id;
	event.who = &connection->who;
	connections->calls->event(connections->shell, &event);
	serve_ready(connections);
}

/* Any user can connect in a loop, and connecting takes longer than most requests. */
static void on_connect(struct watch *watch, uint32_t events)
{
	struct listener *listener = CONTAINER(watch, struct listener, watch);
	struct connections *connections = CONTAINER(listener, struct connections, listener);
	uint64_t begin = processor_time();

	(void)events;
	accept_connection(connections);
	listener_charge(listener, connections->epoll, clock_now(), processor_time() - begin);
}

const struct identity *connections_adopt(struct connections *connections, int fd, uint64_t client,
					 uint64_t *user)
{
	struct connection *connection = NULL;

	if (!table_find(&connections->table, client))
		connection = add(connections, fd, client, user);
	if (!connection) {
		socket_shut_down(fd);
		socket_close(fd);
		return NULL;
	}
	flow_inherit(&connection->flow);
	flow_greeted(&connections->flows, &connection->flow, clock_now());
	return &connection->who;
}

int connections_listen(struct connections *connections, int fd)
{
	connections->listener.watch.on_event = on_connect;
	return listener_open(&connections->listener, connections->epoll, fd);
}

struct connections *connections_new(int epoll, const struct flow_limits *limits,
				    const struct connections_calls *calls, void *shell)
{
	struct connections *connections = calloc(1, sizeof(*connections));

	if (!connections)
		return NULL;
	connections->epoll = epoll;
	connections->calls = calls;
	connections->shell = shell;
	connections->listener.fd = connections->listener.reserve = -1;
	flows_init(&connections->flows, limits);
	socket_init();
	return connections;
}

void connections_set_limits(struct connections *connections, const struct flow_limits *limits)
{
	connections->flows.limits = *limits;
}

void connections_free(struct connections *connections)
{
	free_closed(connections);
	for (size_t i = 0; i < connections->table.nr; i++) {
		struct connection *connection = connections->table.items[i];

		close_fds(connection);
		socket_close(connection->fd);
		undo(connection);
	}
	table_free(&connections->table);
	listener_close(&connections->listener);
	flows_free(&connections->flows);
	free(connections);
}

/* ---- functions for the caller ---- */

/* Clients that have not said hello in time, or have been idle too long. */
static void drop_late(struct connections *connections, uint64_t time)
{
	struct flow *flow;

	while ((flow = flows_late(&connections->flows, time))) {
		struct connection *connection = CONTAINER(flow, struct connection, flow);

		if (!flow->greeted)
			drop(connection, "it did not say hello");
		else if (connections->calls->has_nothing(connections->shell, connection->id))
			drop(connection, "it was idle");
		else
			flow_stays(&connections->flows, flow, time);
	}
}

static void forget_accounts(struct connections *connections, uint64_t time)
{
	uint32_t suppressed;
	uint64_t user;

	while (flows_forget(&connections->flows, time, &user, &suppressed))
		log_suppressed(connections, user, suppressed);
}

uint64_t connections_work(struct connections *connections, uint64_t now)
{
	uint64_t next, pause;

	drop_late(connections, now);
	flows_tick(&connections->flows, now);
	serve_ready(connections);
	forget_accounts(connections, now);
	free_closed(connections);
	next = flows_tick(&connections->flows, now);
	pause = listener_tick(&connections->listener, connections->epoll, now);
	return next < pause ? next : pause;
}

bool connections_reply(struct connections *connections, uint64_t client,
		       const void *data, size_t size)
{
	struct connection *connection = find(connections, client);

	if (!connection || !flow_has_room(&connection->flow))
		return false;
	if (!fds_send(connection->fd, data, size, NULL, 0, MSG_DONTWAIT)) {
		flow_answered(&connection->flow);
		return true;
	}
	connection->unanswered = true;
	return false;
}

void connections_go_on(struct connections *connections, uint64_t client)
{
	struct connection *connection = find(connections, client);

	if (connection)
		flow_has_read(&connections->flows, &connection->flow);
}

void connections_send(struct connections *connections, uint64_t client, const void *data,
		      size_t size, const int *fds, unsigned int nr)
{
	struct connection *connection = find(connections, client);

	if (!connection || connection->flow.in_hand || size > PACKET_MAX || nr > MAX_FDS) {
		for (unsigned int i = 0; i < nr; i++)
			fd_close(fds[i]);
		return;
	}
	memcpy(connection->data, data, size);
	connection->size = size;
	if (nr)
		memcpy(connection->fds, fds, nr * sizeof(*fds));
	connection->nr_fds = nr;
	flow_put_in_hand(&connections->flows, &connection->flow, nr);
}

void connections_drop(struct connections *connections, uint64_t client, const char *why)
{
	struct connection *connection = find(connections, client);

	if (connection)
		stop_serving(connection, why);
}

void connections_set_greeted(struct connections *connections, uint64_t client)
{
	struct connection *connection = find(connections, client);

	if (connection)
		flow_greeted(&connections->flows, &connection->flow, clock_now());
}

int connections_fd(const struct connections *connections, uint64_t client)
{
	const struct connection *connection = find(connections, client);

	return connection ? connection->fd : -1;
}

bool connections_may_log(struct connections *connections, uint64_t user, uint64_t now,
			 uint32_t *suppressed)
{
	return flows_may_log(&connections->flows, user, now, suppressed);
}
