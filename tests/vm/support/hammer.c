// SPDX-License-Identifier: MIT
/* A process that reads through a mapping without pause and counts. */
#define _GNU_SOURCE
#include "hammer.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"
#include "suite.h"

/* In memory that both processes see. */
struct hammer {
	_Atomic uint64_t good;
	_Atomic uint64_t sigbus;
	_Atomic uint64_t wrong;
	_Atomic bool expecting;
	uint32_t expected;
	_Atomic uint64_t goal;	/* of good + sigbus; 0 if there is no waiter */
	int reached;		/* eventfd */
	pid_t pid;
};

static void hammer_once(struct hammer *h, const void *address)
{
	uint32_t value;
	uint64_t tried, goal;

	if (try_read32(address, &value)) {
		h->sigbus++;
	} else {
		h->wrong += h->expecting && value != h->expected;
		h->good++;
	}

	tried = h->good + h->sigbus;
	goal = h->goal;
	if (goal && tried >= goal &&
	    atomic_compare_exchange_strong(&h->goal, &goal, 0))
		eventfd_write(h->reached, 1);
}

struct hammer *hammer_start(const void *map, size_t length, size_t step)
{
	struct hammer *h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	size_t at;

	ck_assert_ptr_ne(h, MAP_FAILED);
	h->reached = eventfd(0, EFD_CLOEXEC);
	ck_assert_works(h->reached);
	pid = fork();
	ck_assert_works(pid);
	if (pid) {
		h->pid = pid;
		return h;
	}

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It must not keep devices open that the test closes. */
	if (h->reached > 3)
		close_range(3, h->reached - 1, 0);
	close_range(h->reached + 1, ~0U, 0);
	for (;;)
		for (at = 0; at < length; at += step)
			hammer_once(h, (const char *)map + at);
}

void hammer_wait(struct hammer *h, uint64_t reads)
{
	eventfd_t count;

	h->goal = h->good + h->sigbus + reads;
	ck_assert_works(eventfd_read(h->reached, &count));
}

uint64_t hammer_sigbus(const struct hammer *h)
{
	return h->sigbus;
}

uint64_t hammer_good(const struct hammer *h)
{
	return h->good;
}

void hammer_expect(struct hammer *h, uint32_t value)
{
	h->expected = value;
	h->expecting = true;
}

uint64_t hammer_wrong(const struct hammer *h)
{
	return h->wrong;
}

void hammer_end(struct hammer *h)
{
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
	close(h->reached);
}
