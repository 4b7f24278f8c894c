// SPDX-License-Identifier: MIT
/* A client in another language, a broker that is killed, and the client's own end. */
#define _GNU_SOURCE
#include "survivor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "lender.h"
#include "suite.h"

static pid_t start(const char *const argv[], int *to, int *from)
{
	int in[2], out[2];
	pid_t pid;

	ck_assert_works(pipe2(in, O_CLOEXEC));
	ck_assert_works(pipe2(out, O_CLOEXEC));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	*to = in[1];
	*from = out[0];
	return pid;
}

static void expect(int from)
{
	char byte;

	ck_assert_msg(read(from, &byte, 1) == 1, "the client has ended: what it says is above");
}

void survivor_check(const char *const argv[])
{
	struct vdb_client *other;
	int to, from, status;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	pid = start(argv, &to, &from);
	expect(from);
	for (int i = 0; i < 2; i++) {
		broker_stop(lender, SIGKILL);
		lender = broker_start();
		ck_assert_int_eq(write(to, "", 1), 1);
		expect(from);
	}
	other = broker_connect();
	ck_assert_int_eq(broker_acquire_error(other, "edu/page", 0, 0, 0), EBUSY);

	/* It holds the slice, and is in the middle of an access. */
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	broker_acquire(other, "edu/page", 0);
	close(to);
	close(from);
}
