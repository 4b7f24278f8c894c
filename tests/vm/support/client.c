// SPDX-License-Identifier: MIT
/* Another process that carries out the test's commands, one by one. */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fds.h"
#include "memory.h"
#include "suite.h"

#define CLIENT_NAME "client"
#define STRANGER	4711

struct order {
	client_fn *fn;	/* valid in the client: it is a fork of the test */
	struct client_step step;
};

struct answer {
	long result;
	int error;
	pid_t pid;
};

/* A message with an fd, or -1; false when the peer is gone. */
static bool send_with_fd(int socket, const void *data, size_t size, int fd)
{
	return !fds_send(socket, data, size, &fd, fd >= 0, 0);
}

static bool receive_with_fd(int socket, void *data, size_t size, int *fd)
{
	bool lost;

	return fds_receive(socket, data, size, fd, 1, 0, &lost) == (ssize_t)size && !lost;
}

/* The socket that the process serves; a forked client changes it. */
static int served = -1;

static void serve(void) __attribute__((noreturn));

static void serve(void)
{
	struct order order;
	struct answer answer;

	while (receive_with_fd(served, &order, sizeof(order), &order.step.fd)) {
		errno = 0;
		answer.result = order.fn(&order.step);
		answer.error = errno;
		answer.pid = getpid();
		if (!send_with_fd(served, &answer, sizeof(answer), -1))
			break;
	}
	_exit(0);
}

/*
 * The fds of the test must not live on in the client: it would keep devices
 * open that the test closes.  Mappings of devices do live on, as after every
 * fork(); tests start their clients before they map.
 */
static void forget_inherited_fds(int keep)
{
	if (keep > 3)
		close_range(3, keep - 1, 0);
	close_range(keep + 1, ~0U, 0);
}

void client_become(enum client_user user)
{
	const struct passwd *entry = getpwnam(CLIENT_NAME);
	bool stranger = user == CLIENT_STRANGER;
	uid_t uid;
	gid_t gid;

	if (user == CLIENT_ROOT)
		return;
	uid = stranger || !entry ? STRANGER : entry->pw_uid;
	gid = stranger || !entry ? STRANGER : entry->pw_gid;
	if ((!entry && !stranger) || setgroups(0, NULL) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid)) {
		fprintf(stderr, "cannot become user %s: %s\n", stranger ? "4711" : CLIENT_NAME,
			strerror(errno));
		_exit(1);
	}
}

struct client *client_start(enum client_user user)
{
	struct client *c = calloc(1, sizeof(*c));
	pid_t parent = getpid();
	int pair[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	c->pid = fork();
	ck_assert_works(c->pid);
	if (!c->pid) {
		served = pair[1];
		forget_inherited_fds(served);
		client_become(user);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		serve();
	}
	close(pair[1]);
	c->socket = pair[0];
	return c;
}

static long step_fork(const struct client_step *step)
{
	pid_t pid = fork();

	if (pid) {
		close(step->fd);
		return pid;
	}
	/* It may outlive its parent; the end of its socket is its end. */
	close(served);
	served = step->fd;
	serve();
}

struct client *client_fork(struct client *c)
{
	struct client *child = calloc(1, sizeof(*child));
	struct client_step step = { 0 };
	int pair[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	step.fd = pair[1];
	child->pid = client_call(c, step_fork, &step);
	ck_assert_works(child->pid);
	close(pair[1]);
	child->socket = pair[0];
	return child;
}

void client_end(struct client *c)
{
	char byte;

	shutdown(c->socket, SHUT_WR);
	/* We cannot wait for a grandchild, but its socket shows its end. */
	while (recv(c->socket, &byte, sizeof(byte), 0) > 0)
		;
	close(c->socket);
	waitpid(c->pid, NULL, 0);
	free(c);
}

long client_call(struct client *c, client_fn *fn, const struct client_step *step)
{
	struct order order = { .fn = fn, .step = *step };
	struct answer answer;
	int fd;

	if (!send_with_fd(c->socket, &order, sizeof(order), step->fd) ||
	    !receive_with_fd(c->socket, &answer, sizeof(answer), &fd))
		ck_abort_msg("client %d died", c->pid);
	errno = answer.error;
	return answer.result;
}

static long step_keep_fd(const struct client_step *step)
{
	return step->fd;
}

int client_give(struct client *c, int fd)
{
	return client_call(c, step_keep_fd, &(struct client_step){ .fd = fd });
}

static long step_mmap(const struct client_step *step)
{
	void *map = mmap(NULL, step->arg[1], step->arg[2], MAP_SHARED, step->fd,
			 step->arg[0]);
	int error = errno;

	close(step->fd);
	errno = error;
	return (long)map;
}

long client_mmap(struct client *c, int fd, size_t offset, size_t length,
		 int prot)
{
	struct client_step step = { { offset, length, prot }, fd };

	return client_call(c, step_mmap, &step);
}

static long step_munmap(const struct client_step *step)
{
	return munmap((void *)step->arg[0], step->arg[1]);
}

long client_munmap(struct client *c, long address, size_t length)
{
	struct client_step step = { { address, length }, -1 };

	return client_call(c, step_munmap, &step);
}

/* The signal in the upper half of the result, the value in the lower. */
static long step_read(const struct client_step *step)
{
	uint32_t value = 0;
	int number = try_read32((void *)step->arg[0], &value);

	return (long)number << 32 | value;
}

static long step_write(const struct client_step *step)
{
	return try_write32((void *)step->arg[0], step->arg[1]);
}

int client_try_read32(struct client *c, long address, uint32_t *value)
{
	struct client_step step = { { address }, -1 };
	long result = client_call(c, step_read, &step);

	*value = (uint32_t)result;
	return result >> 32;
}

int client_try_write32(struct client *c, long address, uint32_t value)
{
	struct client_step step = { { address, value }, -1 };

	return client_call(c, step_write, &step);
}

uint32_t client_read32(struct client *c, long address)
{
	uint32_t value;
	int number = client_try_read32(c, address, &value);

	if (number)
		ck_abort_msg("client's read at %#lx: %s", address,
			     strsignal(number));
	return value;
}

void client_write32(struct client *c, long address, uint32_t value)
{
	int number = client_try_write32(c, address, value);

	if (number)
		ck_abort_msg("client's write at %#lx: %s", address,
			     strsignal(number));
}
