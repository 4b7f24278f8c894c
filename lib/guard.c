/* SPDX-License-Identifier: MIT */
/*
 * Accesses that fail instead of raising SIGBUS.
 *
 * Each access is one instruction.  A table has its address, and the address at
 * which to continue if it faults.  The signal handler looks up the faulting
 * instruction, and sets the program counter to the second address.  So a
 * successful access costs nothing more, and nothing must be saved before it.
 *
 * The instructions are those of x86-64 and arm64.  For other CPUs the functions
 * exist and fail.  With VDB_NO_GUARD, for tests, they fail on every CPU.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "internal.h"

#if defined(VDB_NO_GUARD)
#elif defined(__x86_64__) && defined(__LP64__)
#define HAS_GUARD
#define PROGRAM_COUNTER(context)	((context)->uc_mcontext.gregs[REG_RIP])
#define LOAD8	"movb %1, %0"
#define LOAD16	"movw %1, %0"
#define LOAD32	"movl %1, %0"
#define LOAD64	"movq %1, %0"
#define STORE8	"movb %1, %0"
#define STORE16	"movw %1, %0"
#define STORE32	"movl %1, %0"
#define STORE64	"movq %1, %0"
#define VALUE	"q"
#define MEMORY	"m"
#elif defined(__aarch64__) && defined(__LP64__)
#define HAS_GUARD
#define PROGRAM_COUNTER(context)	((context)->uc_mcontext.pc)
#define LOAD8	"ldrb %w0, %1"
#define LOAD16	"ldrh %w0, %1"
#define LOAD32	"ldr %w0, %1"
#define LOAD64	"ldr %x0, %1"
#define STORE8	"strb %w1, %0"
#define STORE16	"strh %w1, %0"
#define STORE32	"str %w1, %0"
#define STORE64	"str %x1, %0"
#define VALUE	"r"
#define MEMORY	"Q"	/* an address in a register: KVM cannot emulate other forms */
#endif

#ifdef HAS_GUARD

/* Both relative to their own addresses, so that the library needs no relocation. */
struct entry {
	int32_t access;
	int32_t fixup;
};

/* The linker makes these two for a section with the name of a C identifier. */
extern const struct entry __start_vdb_accesses[] __attribute__((visibility("hidden")));
extern const struct entry __stop_vdb_accesses[] __attribute__((visibility("hidden")));

#define ACCESS(instruction)				\
	"1:	" instruction "\n"			\
	".pushsection vdb_accesses, \"a\"\n"		\
	"	.balign 4\n"				\
	"	.long 1b - .\n"				\
	"	.long %l[fault] - .\n"			\
	".popsection\n"

#define DEFINE_TRY(bits)							\
int vdb_try_read##bits(const volatile void *address, uint##bits##_t *value) \
{									\
	uint##bits##_t got;						\
									\
	__asm__ goto(ACCESS(LOAD##bits)					\
		     : "=" VALUE (got)					\
		     : MEMORY (*(const volatile uint##bits##_t *)address) \
		     : "memory" : fault);				\
	VDB_AFTER_READ();						\
	*value = got;							\
	return 0;							\
fault:									\
	errno = EFAULT;							\
	return -1;							\
}									\
									\
int vdb_try_write##bits(volatile void *address, uint##bits##_t value)	\
{									\
	VDB_BEFORE_WRITE();						\
	__asm__ goto(ACCESS(STORE##bits)				\
		     :							\
		     : MEMORY (*(volatile uint##bits##_t *)address), VALUE (value) \
		     : "memory" : fault);				\
	return 0;							\
fault:									\
	errno = EFAULT;							\
	return -1;							\
}

bool vdb_guard_supported(void)
{
	return true;
}

bool vdb_guard_handle(const siginfo_t *info, void *context)
{
	ucontext_t *where = context;
	uintptr_t pc = (uintptr_t)PROGRAM_COUNTER(where);
	const struct entry *entry;

	/* A signal that was sent says nothing about the instruction that it interrupted. */
	if (info->si_signo != SIGBUS || info->si_code <= 0)
		return false;
	for (entry = __start_vdb_accesses; entry < __stop_vdb_accesses; entry++) {
		if ((uintptr_t)&entry->access + entry->access != pc)
			continue;
		PROGRAM_COUNTER(where) = (uintptr_t)&entry->fixup + entry->fixup;
		return true;
	}
	return false;
}

static pthread_mutex_t enable_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction former;
static bool enabled;

static void pass_on(int number, siginfo_t *info, void *context)
{
	if (former.sa_flags & SA_SIGINFO) {
		former.sa_sigaction(number, info, context);
	} else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
		former.sa_handler(number);
	} else if (info->si_code > 0) {
		/* The access faults again, and now ends the process. */
		sigaction(SIGBUS, &former, NULL);
	} else if (former.sa_handler == SIG_DFL) {
		/* It was sent, so it does not come again by itself. */
		sigaction(SIGBUS, &former, NULL);
		raise(SIGBUS);
	}
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	if (!vdb_guard_handle(info, context))
		pass_on(number, info, context);
}

int vdb_guard_enable(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};
	int ret = 0;

	pthread_mutex_lock(&enable_lock);
	if (!enabled) {
		/* Saved before ours is installed, because ours can be called immediately. */
		ret = sigaction(SIGBUS, NULL, &former) ?:
		      sigaction(SIGBUS, &action, NULL);
		enabled = !ret;
	}
	pthread_mutex_unlock(&enable_lock);
	return ret;
}

#else

#define DEFINE_TRY(bits)						\
int vdb_try_read##bits(const volatile void *address, uint##bits##_t *value) \
{									\
	(void)address;							\
	(void)value;							\
	return not_supported();						\
}									\
									\
int vdb_try_write##bits(volatile void *address, uint##bits##_t value)	\
{									\
	(void)address;							\
	(void)value;							\
	return not_supported();						\
}

static int not_supported(void)
{
	errno = ENOTSUP;
	return -1;
}

bool vdb_guard_supported(void)
{
	return false;
}

bool vdb_guard_handle(const siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	return false;
}

int vdb_guard_enable(void)
{
	return not_supported();
}

#endif

DEFINE_TRY(8)
DEFINE_TRY(16)
DEFINE_TRY(32)
DEFINE_TRY(64)
