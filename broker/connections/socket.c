/* SPDX-License-Identifier: MIT */
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "flow.h"
#include "socket.h"

#define HURRY	1000	/* microseconds */

static void nothing(int signal)
{
	(void)signal;
}

void socket_init(void)
{
	/* Without SA_RESTART, so that the signal ends waits. */
	const struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGALRM, &action, NULL);
}

void socket_hurry(bool on)
{
	const struct itimerval timer = {
		.it_value.tv_usec = on ? HURRY : 0,
		.it_interval.tv_usec = on ? HURRY : 0,
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

int socket_prepare(int fd, uint64_t *cookie)
{
	socklen_t size = sizeof(*cookie);
	int half = FLOW_ROOM / 2;	/* the kernel doubles it */

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half)))
		return -1;
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &size);
}

ssize_t socket_peek(int fd, void *data, size_t room, bool *flawed)
{
	struct iovec iov = { .iov_base = data, .iov_len = room };
	/* No room for fds: the kernel does not install them, and reports that there were some. */
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t size = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);

	*flawed = message.msg_flags & (MSG_CTRUNC | MSG_TRUNC);
	return size;
}

void socket_take_out(int fd)
{
	char byte;

	recv(fd, &byte, 1, MSG_DONTWAIT);
}

uint32_t socket_unread(int fd)
{
	int bytes = 0;

	/* If it cannot be measured, assume that something is unread. */
	return ioctl(fd, SIOCOUTQ, &bytes) ? FLOW_ROOM : (uint32_t)bytes;
}

bool socket_is_shut(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

/*
 * The fd store may have the socket as well; then closing it does not notify the peer.
 * Requests are taken out: if a socket is closed with requests in it, the peer gets an
 * error before it has read what it was sent.  The kernel queues at most 11.
 */
void socket_shut_down(int fd)
{
	char byte;

	socket_hurry(true);
	shutdown(fd, SHUT_RDWR);
	while (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) > 0)
		;
	socket_hurry(false);
}

void socket_close(int fd)
{
	socket_hurry(true);
	close(fd);
	socket_hurry(false);
}
