// SPDX-License-Identifier: MIT
/* Processes of an unprivileged user, each of which does one thing over and over. */
#define _GNU_SOURCE
#include "crowd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "suite.h"

/* In memory that all of them see. */
struct crowd {
	unsigned int members;
	int begin;		/* eventfd: one for each, when all are started */
	int reached;		/* eventfd: one for each that was asked */
	struct {
		pid_t pid;
		_Atomic bool asked;
	} member[];
};

static void live(struct crowd *c, unsigned int number, crowd_fn *work, int fd)
	__attribute__((noreturn));

static void live(struct crowd *c, unsigned int number, crowd_fn *work, int fd)
{
	const int own = 3, reached = 4;
	int high = fcntl(c->reached, F_DUPFD, 10);
	eventfd_t one;

	if (eventfd_read(c->begin, &one))
		_exit(1);
	/* The two that it keeps become the first ones, the others go. */
	if (high < 0 || (fd >= 0 && dup2(fd, own) < 0) || dup2(high, reached) < 0)
		_exit(1);
	close_range(reached + 1, ~0U, 0);
	client_become(CLIENT_NOBODY);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		work(fd < 0 ? -1 : own);
		if (c->member[number].asked && atomic_exchange(&c->member[number].asked, false))
			eventfd_write(reached, 1);
	}
}

struct crowd *crowd_start(unsigned int members, crowd_fn *work, const int *fds)
{
	struct crowd *c = mmap(NULL, sizeof(*c) + members * sizeof(*c->member),
			       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i;
	pid_t pid;

	ck_assert_ptr_ne(c, MAP_FAILED);
	c->members = members;
	c->begin = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	ck_assert_works(c->begin);
	c->reached = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	ck_assert_works(c->reached);
	for (i = 0; i < members; i++) {
		pid = fork();
		ck_assert_works(pid);
		if (!pid)
			live(c, i, work, fds ? fds[i] : -1);
		c->member[i].pid = pid;
	}
	/* Those that are at work would take the processors from this process. */
	ck_assert_works(eventfd_write(c->begin, members));
	close(c->begin);
	return c;
}

void crowd_wait(struct crowd *c)
{
	eventfd_t one;
	unsigned int i;

	/* The end of a round that had begun before is not enough. */
	for (int round = 0; round < 2; round++) {
		for (i = 0; i < c->members; i++)
			c->member[i].asked = true;
		for (i = 0; i < c->members; i++)
			ck_assert_works(eventfd_read(c->reached, &one));
	}
}

unsigned int crowd_members(const struct crowd *c)
{
	return c->members;
}

pid_t crowd_pid(const struct crowd *c, unsigned int member)
{
	return c->member[member].pid;
}

void crowd_stop(struct crowd *c)
{
	unsigned int i;

	for (i = 0; i < c->members; i++)
		ck_assert_works(kill(c->member[i].pid, SIGSTOP));
	for (i = 0; i < c->members; i++)
		ck_assert_int_eq(waitid(P_PID, c->member[i].pid, NULL, WSTOPPED), 0);
}

void crowd_continue(struct crowd *c)
{
	unsigned int i;

	for (i = 0; i < c->members; i++)
		ck_assert_works(kill(c->member[i].pid, SIGCONT));
}

void crowd_end(struct crowd *c)
{
	unsigned int i;

	for (i = 0; i < c->members; i++)
		kill(c->member[i].pid, SIGKILL);
	for (i = 0; i < c->members; i++)
		waitpid(c->member[i].pid, NULL, 0);
	close(c->reached);
}
