// SPDX-License-Identifier: MIT
/*
 * SIGBUS in a program with other handlers of it.
 *
 * vdb_guard_enable() installs a handler once.  faulthandler.enable() and
 * signal.signal() replace it, and a revoked slice would end the process.  So there
 * is a handler of our own.  Every access first makes sure that it is installed, and
 * that this thread does not block the signal: a fault with the signal blocked ends
 * the process immediately.
 */
#include <string.h>

#include "native.h"

static struct sigaction former;		/* the one that was installed before ours */
static volatile sig_atomic_t passed;	/* since the last guarded access */

/*
 * A fault of other code.  It happens again, and then the former handler runs.  That
 * handler may have kept ours as its own predecessor, as faulthandler does, and send
 * the signal here a second time.  Then the process ends.
 */
static void pass_on(const siginfo_t *info)
{
	struct sigaction action = former;

	if (passed) {
		memset(&action, 0, sizeof(action));
		action.sa_handler = SIG_DFL;
	}
	passed = 1;
	sigaction(SIGBUS, &action, NULL);
	/* A signal that a process has sent does not happen again by itself. */
	if (info->si_code <= 0)
		raise(SIGBUS);
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	(void)number;
	if (!vdb_guard_handle(info, context))
		pass_on(info);
}

static void install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	}, present;

	sigaction(SIGBUS, NULL, &present);
	if (present.sa_flags & SA_SIGINFO && present.sa_sigaction == on_sigbus)
		return;
	former = present;
	passed = 0;
	sigaction(SIGBUS, &action, NULL);
}

/* The caller has the interpreter's lock, so two threads do not install at the same time. */
void guard_begin(struct guard *guard)
{
	sigset_t bus;

	install();
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &bus, &guard->mask);
}

void guard_end(const struct guard *guard)
{
	if (sigismember(&guard->mask, SIGBUS))
		pthread_sigmask(SIG_SETMASK, &guard->mask, NULL);
}
