// SPDX-License-Identifier: MIT
/* Passing slices to clients and importers. */
#define _GNU_SOURCE
#include "mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t name_of(unsigned int worker, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	/* An abstract name: it ends with its socket. */
	snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
		 "vfio-dmabuf-stress-%u", worker);
	return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address->sun_path + 1);
}

int mailbox_open(unsigned int worker)
{
	struct sockaddr_un address;
	socklen_t length = name_of(worker, &address);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	/* A child of a killed predecessor can still have its socket. */
	while ((ret = bind(fd, (struct sockaddr *)&address, length)) &&
	       errno == EADDRINUSE && !board->stop)
		usleep(1000);
	if (ret && board->stop)
		_exit(0);
	if (ret) {
		board_fail(FAILED_OTHER, "the mailbox of worker %u: %s", worker,
			   strerrorname_np(errno));
		_exit(1);
	}
	return fd;
}

bool mailbox_receive(int mailbox, struct loan *loan, int *fd, int ms)
{
	struct pollfd p = { .fd = mailbox, .events = POLLIN };
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = loan, .iov_len = sizeof(*loan) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;

	if (poll(&p, 1, ms) <= 0 ||
	    recvmsg(mailbox, &message, MSG_DONTWAIT) != sizeof(*loan))
		return false;
	cmsg = CMSG_FIRSTHDR(&message);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return false;
	memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	return true;
}

int mailbox_sender(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

bool mailbox_send(int sender, unsigned int worker, const struct loan *loan, int fd)
{
	struct sockaddr_un address;
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)loan, .iov_len = sizeof(*loan) };
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = name_of(worker, &address),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(sender, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*loan);
}
