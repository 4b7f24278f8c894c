// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "peer.h"
#include "suite.h"

#define MAX_FDS	16

void peer_become(unsigned int user)
{
	char name[16];

	snprintf(name, sizeof(name), "user-%u", user);
	ck_assert_int_eq(prctl(PR_SET_NAME, name), 0);
}

int peer_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (void *)&address, sizeof(address)), 0);
	return fd;
}

int peer_send(int fd, const void *packet, size_t size)
{
	return send(fd, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

int peer_ask(int fd, char type)
{
	return peer_send(fd, &type, 1);
}

int peer_read(int fd, unsigned int *nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control;
	char data[512] = "";
	struct iovec iov = { data, sizeof(data) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	unsigned int nr = 0;

	if (size <= 0)
		return size;
	if (header)
		nr = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (unsigned int i = 0; i < nr; i++)
		close(((int *)CMSG_DATA(header))[i]);
	if (nr_fds)
		*nr_fds = nr;
	return (unsigned char)data[0];
}

void peer_call(int fd, char type)
{
	ck_assert_int_eq(peer_ask(fd, type), 0);
	ck_assert_int_eq(peer_read(fd, NULL), type);
}

unsigned int peer_send_and_not_read(int fd, const void *packet, size_t size)
{
	unsigned int nr = 0, failed = 0;

	/* Its socket is full when the server has stopped reading. */
	while (failed < 20) {
		if (!peer_send(fd, packet, size)) {
			nr++;
			failed = 0;
		} else {
			failed++;
			usleep(500);
		}
	}
	return nr;
}
