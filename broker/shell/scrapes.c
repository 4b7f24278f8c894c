/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/container.h"
#include "connections/listener.h"
#include "connections/socket.h"
#include "shell/scrapes.h"

#define MAX_SCRAPES	8
#define MAX_REQUEST	4096
#define PATIENCE	10000000ULL	/* microseconds from accept() to the last byte */
/* The kernel charges an unread answer to the broker, also after the connection has ended. */
#define SOCKET_UMASK	0117

static const char header[] =
	"HTTP/1.0 200 OK\r\n"
	"Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
	"Content-Length: %zu\r\n\r\n";

struct scrape {
	struct watch watch;
	struct scrapes *all;
	int fd;			/* -1: this one is free */
	char request[MAX_REQUEST + 1];
	size_t got;
	char *answer;		/* NULL: the request is not complete */
	size_t size, sent;
	uint64_t until;
};

struct scrapes {
	int epoll;
	scrapes_text *text;
	void *data;
	struct listener listener;
	char path[128];
	uint64_t now;
	struct scrape scrapes[MAX_SCRAPES];
};

static void end(struct scrape *scrape)
{
	socket_close(scrape->fd);
	free(scrape->answer);
	scrape->answer = NULL;
	scrape->fd = -1;
}

static bool make_answer(struct scrape *scrape)
{
	size_t size, head;
	char *text = scrape->all->text(scrape->all->data, &size);

	if (!text)
		return false;
	scrape->answer = malloc(sizeof(header) + 20 + size);
	if (scrape->answer) {
		head = sprintf(scrape->answer, header, size);
		memcpy(scrape->answer + head, text, size);
		scrape->size = head + size;
		scrape->sent = 0;
	}
	free(text);
	return scrape->answer;
}

/* Whether the request is complete.  Its contents do not matter. */
static bool is_whole(const char *request)
{
	return strstr(request, "\r\n\r\n") || strstr(request, "\n\n");
}

/* False: the connection must end. */
static bool receive(struct scrape *scrape)
{
	ssize_t got;

	/* Fds that come with it are closed. */
	socket_hurry(true);
	got = recv(scrape->fd, scrape->request + scrape->got, MAX_REQUEST - scrape->got, MSG_DONTWAIT);
	socket_hurry(false);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	scrape->got += got;
	scrape->request[scrape->got] = '\0';
	/* A client that only reads may have shut down its side. */
	if (!got || is_whole(scrape->request))
		return make_answer(scrape);
	return scrape->got < MAX_REQUEST;
}

static bool transmit(struct scrape *scrape)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = &scrape->watch };
	ssize_t sent = send(scrape->fd, scrape->answer + scrape->sent, scrape->size - scrape->sent,
			    MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	scrape->sent += sent < 0 ? 0 : sent;
	if (scrape->sent == scrape->size)
		return false;
	return !epoll_ctl(scrape->all->epoll, EPOLL_CTL_MOD, scrape->fd, &event);
}

static void on_scrape(struct watch *watch, uint32_t events)
{
	struct scrape *scrape = CONTAINER(watch, struct scrape, watch);

	(void)events;
	if (scrape->fd < 0)
		return;
	if (!scrape->answer && !receive(scrape))
		end(scrape);
	else if (scrape->answer && !transmit(scrape))
		end(scrape);
}

static struct scrape *find_free(struct scrapes *scrapes)
{
	for (int i = 0; i < MAX_SCRAPES; i++)
		if (scrapes->scrapes[i].fd < 0)
			return &scrapes->scrapes[i];
	return NULL;
}

static void on_connection(struct watch *watch, uint32_t events)
{
	struct scrapes *scrapes = CONTAINER(watch, struct scrapes, listener.watch);
	struct scrape *scrape = find_free(scrapes);
	int fd = listener_accept(&scrapes->listener, scrapes->epoll, scrapes->now);
	struct epoll_event event = { .events = EPOLLIN };

	(void)events;
	if (fd < 0)
		return;
	event.data.ptr = scrape ? &scrape->watch : NULL;
	if (!scrape || epoll_ctl(scrapes->epoll, EPOLL_CTL_ADD, fd, &event)) {
		socket_close(fd);
		return;
	}
	scrape->fd = fd;
	scrape->got = 0;
	scrape->until = scrapes->now + PATIENCE;
}

struct scrapes *scrapes_new(int epoll, scrapes_text *text, void *data)
{
	struct scrapes *scrapes = calloc(1, sizeof(*scrapes));

	if (!scrapes)
		return NULL;
	socket_init();
	scrapes->epoll = epoll;
	scrapes->text = text;
	scrapes->data = data;
	scrapes->listener.watch.on_event = on_connection;
	scrapes->listener.fd = scrapes->listener.reserve = -1;
	for (int i = 0; i < MAX_SCRAPES; i++) {
		scrapes->scrapes[i].watch.on_event = on_scrape;
		scrapes->scrapes[i].all = scrapes;
		scrapes->scrapes[i].fd = -1;
	}
	return scrapes;
}

static void stop_listening(struct scrapes *scrapes)
{
	if (scrapes->listener.fd < 0)
		return;
	listener_close(&scrapes->listener);
	unlink(scrapes->path);
}

int scrapes_listen(struct scrapes *scrapes, const char *path)
{
	mode_t before;
	int fd;

	if (scrapes->listener.fd >= 0 && !strcmp(scrapes->path, path))
		return 0;
	stop_listening(scrapes);
	if (!*path)
		return 0;
	before = umask(SOCKET_UMASK);
	fd = listener_make_socket(path, SOCK_STREAM);
	umask(before);
	if (fd < 0)
		return -1;
	snprintf(scrapes->path, sizeof(scrapes->path), "%s", path);
	if (!listener_open(&scrapes->listener, scrapes->epoll, fd))
		return 0;
	close(fd);
	unlink(path);
	return -1;
}

uint64_t scrapes_work(struct scrapes *scrapes, uint64_t now)
{
	uint64_t until = listener_tick(&scrapes->listener, scrapes->epoll, now);

	scrapes->now = now;
	for (int i = 0; i < MAX_SCRAPES; i++) {
		struct scrape *scrape = &scrapes->scrapes[i];

		if (scrape->fd >= 0 && scrape->until <= now)
			end(scrape);
		else if (scrape->fd >= 0 && scrape->until < until)
			until = scrape->until;
	}
	return until;
}

void scrapes_free(struct scrapes *scrapes)
{
	if (!scrapes)
		return;
	stop_listening(scrapes);
	for (int i = 0; i < MAX_SCRAPES; i++)
		if (scrapes->scrapes[i].fd >= 0)
			end(&scrapes->scrapes[i]);
	free(scrapes);
}
