// SPDX-License-Identifier: MIT
/* Accesses through a slice, each of them checked. */
#define _GNU_SOURCE
#include "checker.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static __thread sigjmp_buf back;
static __thread volatile sig_atomic_t accessing;

/* Not the number of a signal. */
#define NO_ANSWER	(-1)

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (accessing) {
		accessing = 0;
		/* From a fault that the kernel refuses it would be BUS_ADRERR. */
		siglongjmp(back, number == SIGBUS && info->si_code == BUS_OBJERR ? NO_ANSWER : number);
	}
	/* Not a signal of the accesses: it ends the process. */
	signal(number, SIG_DFL);
}

void checker_catch_signals(void)
{
	/* SA_NODEFER: leaving the handler by longjmp must not leave it blocked. */
	const struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_NODEFER | SA_SIGINFO,
	};

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/*
 * If a device does not answer, an Arm CPU gets an error from the bus.  On x86 a read returns
 * all ones then, and a write is lost: the same is made of it here.
 */
int checker_peek(const void *address, uint32_t *value)
{
	int number = sigsetjmp(back, 0);

	if (number == NO_ANSWER) {
		*value = ~0u;
		return 0;
	}
	if (number)
		return number;
	accessing = 1;
	*value = *(const volatile uint32_t *)address;
	accessing = 0;
	return 0;
}

int checker_poke(void *address, uint32_t value)
{
	int number = sigsetjmp(back, 0);

	if (number)
		return number == NO_ANSWER ? 0 : number;
	accessing = 1;
	*(volatile uint32_t *)address = value;
	accessing = 0;
	return 0;
}

/* Never 0 (fresh memory) nor all ones (no answer). */
uint32_t stamp_of(uint32_t slot, uint32_t generation)
{
	return (slot + 1) << 24 | (generation & 0xffffff);
}

bool check_value(uint32_t slot, uint32_t generation, uint32_t value, const char *who)
{
	const struct slot *s = &board->slots[slot];
	const char *name = board->devices[s->device].name;
	uint32_t stamp = stamp_of(slot, generation);

	if (value == (s->memory ? stamp : s->expected))
		return true;
	if ((!value || value == ~0u) && rescan_lately())
		return true;
	if (!value || value == ~0u || !s->memory)
		board_fail(FAILED_THROUGH,
			   "%s (pid %d) reads %#x from slot %u of %s, generation %u: the device was not there",
			   who, getpid(), value, slot, name, generation);
	else if (value >> 24 != slot + 1)
		board_fail(FAILED_OTHER, "%s (pid %d) reads %#x from slot %u of %s, which is no stamp of it",
			   who, getpid(), value, slot, name);
	else if (value > stamp)
		board_fail(FAILED_STALE,
			   "%s (pid %d) reads the stamp of generation %u from slot %u of %s through generation %u, which is revoked",
			   who, getpid(), value & 0xffffff, slot, name, generation);
	else
		board_fail(FAILED_STALE,
			   "%s (pid %d) reads the stamp of generation %u from slot %u of %s in generation %u: it was written after its revocation",
			   who, getpid(), value & 0xffffff, slot, name, generation);
	return false;
}

bool generation_dead(const struct loan *loan)
{
	return board->slots[loan->slot].dead >= loan->generation;
}

bool generation_ending(const struct loan *loan)
{
	return board->slots[loan->slot].ending >= loan->generation;
}

/* The state of the board before an access. */
struct before {
	bool dead;
	uint32_t suspensions;
};

static struct before look(const struct loan *loan)
{
	struct before before = {
		.suspensions = suspension_mark(board->slots[loan->slot].device),
		.dead = generation_dead(loan),
	};

	return before;
}

static bool judge(const struct loan *loan, struct before before, int number,
		  const char *what)
{
	struct slot *s = &board->slots[loan->slot];
	const char *name = board->devices[s->device].name;

	if (!number) {
		if (before.dead)
			board_fail(FAILED_STALE,
				   "a client (pid %d) %s slot %u of %s through generation %u after its revocation had returned",
				   getpid(), what, loan->slot, name, loan->generation);
		else if (s->exported == loan->generation)
			s->accessed = board_now();
		return true;
	}
	operation_count(OP_REFUSED, 1);
	if (number != SIGBUS)
		board_fail(FAILED_REFUSED, "a client (pid %d) gets %s at slot %u of %s",
			   getpid(), strsignal(number), loan->slot, name);
	else if (!generation_ending(loan) && suspension_none(s->device, before.suspensions))
		board_fail(FAILED_REFUSED,
			   "a client (pid %d) gets SIGBUS at slot %u of %s, generation %u, neither revoked nor suspended",
			   getpid(), loan->slot, name, loan->generation);
	return false;
}

bool checked_read(const struct loan *loan, const void *address)
{
	struct before before = look(loan);
	uint32_t value;

	if (!judge(loan, before, checker_peek(address, &value), "reads"))
		return false;
	operation_count(OP_READ, 1);
	return check_value(loan->slot, loan->generation, value, "a client");
}

bool checked_write(const struct loan *loan, void *address)
{
	struct before before = look(loan);
	uint32_t stamp = stamp_of(loan->slot, loan->generation);

	if (!judge(loan, before, checker_poke(address, stamp), "writes"))
		return false;
	operation_count(OP_WRITE, 1);
	return true;
}
