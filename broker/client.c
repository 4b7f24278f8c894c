/* SPDX-License-Identifier: MIT */
/*
 * Connections.
 *
 * A request is looked at where it lies in the socket and taken out only when
 * its answer has gone out: a broker that is killed in between finds it there
 * again.  A client that does not read its answers is not read from either, so
 * nothing is ever queued here; what happens to its leases is kept with them.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker.h"
#include "identity.h"
#include "log.h"
#include "message.h"
#include "store.h"

#define MAX_FDS		2
#define HELLO_USEC	(10 * 1000000ULL)

struct client *client_find(struct broker *broker, uint64_t cookie)
{
	for (struct client *client = broker->clients; client; client = client->next)
		if (client->cookie == cookie)
			return client;
	return NULL;
}

/*
 * The store has a second fd of the socket, so that closing ours would not tell
 * the client.  And one that is closed with requests in it has the client's next
 * recv() fail, before it has read what we had to say.
 */
static void hang_up(struct client *client)
{
	char byte;

	shutdown(client->fd, SHUT_RDWR);
	while (recv(client->fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) > 0)
		;
	close(client->fd);
}

/* Ends all that a client had. */
void client_drop(struct client *client, const char *why)
{
	struct client **link = &client->broker->clients;
	struct broker *broker = client->broker;
	static struct log_limit limit;
	struct lease *lease, *next;

	log_limited(&limit, LOG_INFO, "client %s, pid %d, uid %u goes: %s", client->name,
		    client->who.pid, client->who.uid, why);
	for (lease = broker->leases; lease; lease = next) {
		next = lease->next;
		if (lease->client != client)
			continue;
		if (lease->end)
			lease_forget(lease);
		else
			lease_end(lease, VDP_END_CLIENT);
	}
	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	sd_event_source_disable_unref(client->source);
	sd_event_source_disable_unref(client->pid_source);
	sd_event_source_disable_unref(client->timer);
	hang_up(client);
	if (client->pidfd >= 0)
		close(client->pidfd);
	if (client->stored) {
		broker_save(broker);
		store_remove(store_name_of_client(client->cookie));
	}
	identity_free(&client->who);
	free(client);
}

bool client_send(struct client *client, const void *data, size_t size,
		 const int *fds, unsigned int nr)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr) {
		struct cmsghdr *header;

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(header), fds, nr * sizeof(int));
	}
	if (sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size)
		return true;
	/*
	 * The loop need not be told of that: the socket of a client that has
	 * only shut down its receiving side stays writable.
	 */
	client->lost = errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN;
	return false;
}

bool client_can_send(const struct client *client)
{
	struct pollfd p = { .fd = client->fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

static void set_events(struct client *client, uint32_t events)
{
	sd_event_source_set_io_events(client->source, events);
}

void client_wake(struct client *client)
{
	set_events(client, EPOLLIN | EPOLLOUT);
}

/* The request that comes next, left where it is.  As recvmsg(). */
static ssize_t peek(struct client *client, union request *request, bool *with_fds)
{
	struct iovec iov = { .iov_base = request, .iov_len = sizeof(*request) };
	/* No room for fds: they are not made here, and that there are any is seen. */
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t size = recvmsg(client->fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);

	*with_fds = message.msg_flags & MSG_CTRUNC;
	return size;
}

static void take_out(struct client *client)
{
	char byte;

	recv(client->fd, &byte, 1, MSG_DONTWAIT);
	if (!client->answered)
		return;
	client->answered = 0;
	broker_save(client->broker);
}

/* A request for a list stays where it is until the list is complete. */
static bool finish_list(struct client *client)
{
	if (!client->list.type)
		return true;
	if (!list_go_on(client))
		return false;
	take_out(client);
	return true;
}

/* Goes on when the client has read something, unless it never will. */
static void wait_for_reader(struct client *client)
{
	if (client->lost)
		client_drop(client, "it takes no answers");
	else
		set_events(client, EPOLLOUT);
}

static void serve(struct client *client)
{
	union request request;
	bool with_fds;
	ssize_t size;

	if (!leases_tell(client) || !finish_list(client)) {
		wait_for_reader(client);
		return;
	}
	set_events(client, EPOLLIN);

	size = peek(client, &request, &with_fds);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		client_drop(client, size ? strerror(errno) : "it has closed the connection");
		return;
	}
	switch (request_handle(client, &request, size, with_fds)) {
	case HANDLED_DONE:
		take_out(client);
		return;
	case HANDLED_LATER:
		wait_for_reader(client);
		return;
	default:
		client_drop(client, "it does not keep to the protocol");
	}
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct client *client = data;

	(void)source, (void)fd;
	if (events & (EPOLLHUP | EPOLLERR))
		client_drop(client, "it has closed the connection");
	else
		serve(client);
	return 0;
}

static int on_death(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source, (void)fd, (void)events;
	client_drop(data, "its process is dead");
	return 0;
}

static int on_silence(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source, (void)usec;
	client_drop(data, "it says no hello");
	return 0;
}

void client_set_greeted(struct client *client)
{
	client->greeted = true;
	client->timer = sd_event_source_disable_unref(client->timer);
}

/* One that is in the store and not written down would be taken for nobody's. */
void client_keep(struct client *client)
{
	if (client->stored)
		return;
	broker_save(client->broker);
	client->stored = store_offer(store_name_of_client(client->cookie), client->fd);
}

void clients_keep(struct broker *broker)
{
	for (struct client *client = broker->clients; client; client = client->next)
		client_keep(client);
	store_wait();
}

static struct client *client_new(struct broker *broker, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	socklen_t size = sizeof(client->cookie);

	if (!client)
		return NULL;
	client->broker = broker;
	client->fd = fd;
	client->pidfd = -1;
	strcpy(client->name, "?");
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &client->cookie, &size) ||
	    identity_of_peer(fd, &client->who, &client->pidfd)) {
		free(client);
		return NULL;
	}
	client->admin = client->who.uid == 0 ||
			policy_allows(&broker->config->admins, &client->who);
	return client;
}

static bool watch(struct client *client)
{
	return sd_event_add_io(client->broker->event, &client->source, client->fd,
			       EPOLLIN, on_socket, client) >= 0 &&
	       sd_event_add_io(client->broker->event, &client->pid_source, client->pidfd,
			       EPOLLIN, on_death, client) >= 0 &&
	       sd_event_add_time_relative(client->broker->event, &client->timer, CLOCK_MONOTONIC,
					  HELLO_USEC, 0, on_silence, client) >= 0;
}

struct client *client_add(struct broker *broker, int fd)
{
	struct client *client = client_new(broker, fd);

	if (!client) {
		shutdown(fd, SHUT_RDWR);
		close(fd);
		return NULL;
	}
	client->next = broker->clients;
	broker->clients = client;
	if (!watch(client)) {
		client_drop(client, "it cannot be watched");
		return NULL;
	}
	return client;
}

/*
 * Whether there is room for one more, beside the one that is counted already.
 * However many others there are, administrators can see and end what they have.
 */
static bool too_many(const struct client *new)
{
	const struct config *config = new->broker->config;
	unsigned int reserved = new->admin ? CONFIG_RESERVED : 0;
	unsigned int all = 0, of_user = 0;

	for (const struct client *client = new->broker->clients; client; client = client->next) {
		all++;
		of_user += client->who.uid == new->who.uid;
	}
	return all > config->max_clients + reserved ||
	       of_user > config->max_clients_per_user + reserved;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct broker *broker = data;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	(void)source, (void)events;
	if (connection < 0)
		return 0;
	client = client_add(broker, connection);
	if (!client || !too_many(client))
		return 0;
	request_error(client, 0, VDP_ERROR_LIMIT,
		      "there are as many connections as there may be, of you or of all");
	client_drop(client, "there are too many");
	return 0;
}

static int open_socket(struct broker *broker)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(broker->socket_path) >= sizeof(address.sun_path)) {
		log_line(LOG_ERR, "%s: the path is longer than %zu characters",
			 broker->socket_path, sizeof(address.sun_path) - 1);
		return -1;
	}
	strcpy(address.sun_path, broker->socket_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	/* One that nobody listens at any more is in the way. */
	if (connect(fd, (void *)&address, sizeof(address)) && errno == ECONNREFUSED)
		unlink(broker->socket_path);
	if (bind(fd, (void *)&address, sizeof(address)) || listen(fd, SOMAXCONN)) {
		log_line(LOG_ERR, "%s: %s", broker->socket_path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

int clients_listen(struct broker *broker)
{
	if (broker->listening < 0)
		broker->listening = open_socket(broker);
	if (broker->listening < 0)
		return -1;
	return sd_event_add_io(broker->event, NULL, broker->listening, EPOLLIN,
			       on_connection, broker) < 0 ? -1 : 0;
}
