// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "idle.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sample.h"
#include "suite.h"

/* Of the loop below, for one count. */
#define EACH	2

static volatile uint64_t *counter;

__attribute__((noreturn))
static void count(void)
{
	const struct sched_param none = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_setscheduler(0, SCHED_IDLE, &none);
	__asm__ volatile("1:\n\tincq (%0)\n\tjmp 1b" :: "r"(counter) : "memory");
	__builtin_unreachable();
}

void idle_start(void)
{
	pid_t pid;

	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne((void *)counter, MAP_FAILED);
	pid = fork();
	ck_assert_works(pid);
	if (!pid)
		count();
}

uint64_t busy_instructions(void)
{
	return instructions() - EACH * *counter;
}
