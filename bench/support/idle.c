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

/* A loop that counts, and how many instructions it takes for one count. */
#ifdef __aarch64__
#define COUNT	"mov x9, xzr\n1:\n\tadd x9, x9, #1\n\tstr x9, [%0]\n\tb 1b"
#define CHANGED	"x9", "memory"
#define EACH	3
#else
#define COUNT	"1:\n\tincq (%0)\n\tjmp 1b"
#define CHANGED	"memory"
#define EACH	2
#endif

static volatile uint64_t *counter;

__attribute__((noreturn))
static void count(void)
{
	const struct sched_param none = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_setscheduler(0, SCHED_IDLE, &none);
	__asm__ volatile(COUNT :: "r"(counter) : CHANGED);
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
