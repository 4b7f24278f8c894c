/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fds.h"
#include "common/unix_address.h"
#include "listener.h"
#include "socket.h"

#define PAUSE	1000000ULL	/* microseconds */
#define SHARE	4		/* one part of so many of the time is for new connections */
#define SAVED	20000		/* microseconds of the processor that can be saved up for them */
#define LEAST	1000		/* that there are after a pause */

/* The kernel refuses to connect to a file of another type with the same error. */
static bool is_socket(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISSOCK(st.st_mode);
}

int listener_make_socket(const char *path, int type)
{
	struct sockaddr_un address;
	int fd;

	if (unix_address(path, &address))
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (void *)&address, sizeof(address)) && errno == ECONNREFUSED &&
	    is_socket(path))
		unlink(path);
	if (bind(fd, (void *)&address, sizeof(address)) || listen(fd, SOMAXCONN)) {
		fd_close(fd);
		return -1;
	}
	return fd;
}

static void open_reserve(struct listener *listener)
{
	listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int listener_open(struct listener *listener, int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &listener->watch };
	int flags = fcntl(fd, F_GETFL);

	/* A socket of the service manager can be in blocking mode. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		return -1;
	listener->fd = fd;
	listener->paused = 0;
	open_reserve(listener);
	return 0;
}

void listener_close(struct listener *listener)
{
	if (listener->fd >= 0)
		socket_close(listener->fd);
	if (listener->reserve >= 0)
		close(listener->reserve);
	listener->fd = listener->reserve = -1;
}

static void listen_for(struct listener *listener, int epoll, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = &listener->watch };

	epoll_ctl(epoll, EPOLL_CTL_MOD, listener->fd, &event);
}

static void pause_until(struct listener *listener, int epoll, uint64_t time)
{
	listener->paused = time;
	listen_for(listener, epoll, 0);
}

static int accept_one(const struct listener *listener)
{
	return accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* Epoll reports a connection repeatedly until it is accepted. */
static bool refuse_one(struct listener *listener)
{
	int fd;

	if (listener->reserve < 0)
		return false;
	close(listener->reserve);
	fd = accept_one(listener);
	if (fd >= 0)
		socket_close(fd);
	open_reserve(listener);
	return fd >= 0;
}

/*
 * Connections need further fds, for slices that are sent.  The kernel gives out the
 * lowest free fd, so all below it are in use.
 */
static bool is_kept_for_slices(int fd)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_NOFILE, &limit) &&
	       (rlim_t)fd >= limit.rlim_cur - limit.rlim_cur / 8;
}

int listener_accept(struct listener *listener, int epoll, uint64_t now)
{
	int fd = accept_one(listener);

	if (fd >= 0 && is_kept_for_slices(fd)) {
		socket_close(fd);
		return -1;
	}
	if (fd >= 0 || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return fd;
	if (errno == EMFILE && refuse_one(listener))
		return -1;
	pause_until(listener, epoll, now + PAUSE);
	return -1;
}

void listener_charge(struct listener *listener, int epoll, uint64_t now, uint64_t used)
{
	uint64_t more = (now - listener->refilled) / SHARE;

	listener->refilled = now;
	listener->left = more < (uint64_t)(SAVED - listener->left) ? listener->left + (int64_t)more : SAVED;
	listener->left -= used;
	if (listener->left < 0 && !listener->paused)
		pause_until(listener, epoll, now + (LEAST - listener->left) * SHARE);
}

uint64_t listener_tick(struct listener *listener, int epoll, uint64_t now)
{
	if (!listener->paused)
		return UINT64_MAX;
	if (now < listener->paused)
		return listener->paused;
	listener->paused = 0;
	if (listener->reserve < 0)
		open_reserve(listener);
	listen_for(listener, epoll, EPOLLIN);
	return UINT64_MAX;
}
