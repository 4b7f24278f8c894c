// SPDX-License-Identifier: MIT
/* Accesses through a mapping that may end in a signal. */
#define _GNU_SOURCE
#include "memory.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "suite.h"

static sigjmp_buf back;

static void on_signal(int number)
{
	siglongjmp(back, number);
}

/* SA_NODEFER: leaving the handler by longjmp must not leave it blocked. */
static void catch_signals(void)
{
	const struct sigaction action = {
		.sa_handler = on_signal,
		.sa_flags = SA_NODEFER,
	};
	static bool caught;

	if (caught)
		return;
	caught = true;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

int try_read32(const void *address, uint32_t *value)
{
	int number;

	catch_signals();
	number = sigsetjmp(back, 0);
	if (!number)
		*value = *(const volatile uint32_t *)address;
	return number;
}

int try_write32(void *address, uint32_t value)
{
	int number;

	catch_signals();
	number = sigsetjmp(back, 0);
	if (!number)
		*(volatile uint32_t *)address = value;
	return number;
}

uint32_t read32(const void *address)
{
	uint32_t value = 0;
	int number = try_read32(address, &value);

	if (number)
		ck_abort_msg("read at %p: %s", address, strsignal(number));
	return value;
}

void write32(void *address, uint32_t value)
{
	int number = try_write32(address, value);

	if (number)
		ck_abort_msg("write at %p: %s", address, strsignal(number));
}
