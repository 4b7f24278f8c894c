// SPDX-License-Identifier: MIT
/* Messages with up to two fds, between processes that trust each other. */
#define _GNU_SOURCE
#include "messages.h"

#include <string.h>
#include <sys/socket.h>

#include "suite.h"

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(2 * sizeof(int))];
};

void message_send(int socket, const struct message *m)
{
	int nr = (m->fds[0] >= 0) + (m->fds[1] >= 0);
	struct iovec iov = { (void *)m->bytes, m->size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;

	if (nr) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		control.align = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(nr * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.align), m->fds, nr * sizeof(int));
	}
	if (sendmsg(socket, &message, MSG_NOSIGNAL) != (ssize_t)m->size)
		ck_abort_msg("send: %s", strerror(errno));
}

bool message_receive(int socket, struct message *m)
{
	union control control;
	struct iovec iov = { m->bytes, sizeof(m->bytes) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

	if (size <= 0)
		return false;
	m->size = size;
	m->fds[0] = m->fds[1] = -1;
	if (message.msg_controllen)
		memcpy(m->fds, CMSG_DATA(&control.align), control.align.cmsg_len - CMSG_LEN(0));
	return true;
}
