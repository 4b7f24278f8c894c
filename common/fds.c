/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fds.h"

/* The kernel has these since Linux 6.5 and 2.6.18; the headers of the C library can be older. */
#define CMSG_PIDFD	4	/* SCM_PIDFD: for a socket with SO_PASSPIDFD */
#define MAX_LABEL	4096	/* bytes of SCM_SECURITY: for one with SO_PASSSEC */

void fd_close(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
}

void fds_close(int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		fd_close(fds[i]);
		fds[i] = -1;
	}
}

int fds_send(int socket, const void *data, size_t size, const int *fds, unsigned int nr, int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (nr) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nr * sizeof(int));
	}
	do {
		sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -1;
	if ((size_t)sent != size) {
		errno = EMSGSIZE;
		return -1;
	}
	return 0;
}

/*
 * Takes all fds out of a message, and puts those that fit into @fds.  Returns the number
 * of fds that were sent.  A pidfd does not count: the kernel adds it if the caller's
 * socket has SO_PASSPIDFD.
 */
static unsigned int take_fds(struct msghdr *message, int *fds, unsigned int max)
{
	unsigned int nr = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		bool rights = header->cmsg_type == SCM_RIGHTS;

		if (header->cmsg_level != SOL_SOCKET || (!rights && header->cmsg_type != CMSG_PIDFD))
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
			if (rights && nr < max)
				fds[nr] = fd;
			else
				fd_close(fd);
			nr += rights;
		}
	}
	return nr;
}

ssize_t fds_receive(int socket, void *data, size_t size, int *fds, unsigned int max, int flags, bool *lost)
{
	union {
		struct cmsghdr align;
		/*
		 * The kernel also adds what the caller's socket is set to receive: credentials,
		 * a security label and a pidfd.  Without room for them, fds would be lost.
		 */
		char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(MAX_LABEL) +
			   CMSG_SPACE(FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	unsigned int nr;
	ssize_t got;
	bool bad;

	for (unsigned int i = 0; i < max; i++)
		fds[i] = -1;
	got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return -1;
	nr = take_fds(&message, fds, max);
	/* There was room for more than @max, so fds were not lost for want of room. */
	*lost = message.msg_flags & MSG_CTRUNC && nr <= max;
	/* The caller would take a message without data for the end, and leak its fds. */
	bad = nr > max || message.msg_flags & MSG_TRUNC || (!got && nr);
	if (bad || *lost)
		fds_close(fds, max);
	if (bad) {
		errno = EPROTO;
		return -1;
	}
	return got;
}
