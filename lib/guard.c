/* SPDX-License-Identifier: MIT */
/*
 * Accesses that fail instead of raising SIGBUS.
 *
 * Each access is one instruction.  A table has its address, and the addresses at
 * which to continue if it faults, one for each error.  The signal handler looks up
 * the faulting instruction, and sets the program counter to one of these.  So a
 * successful access costs nothing more, and nothing must be saved before it.
 *
 * What differs between CPUs is in <vfio-dmabuf-mmio.h>, for x86-64 and arm64.  For other
 * CPUs the functions exist and fail.  With VDB_NO_GUARD, for tests, they fail on every
 * CPU.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "internal.h"

static int fail(int error)
{
	errno = error;
	return -1;
}

#if defined(VDB_PROGRAM_COUNTER) && defined(VDB_STORE_BLOCK) && !defined(VDB_NO_GUARD)
#define SUPPORTED	true

/* Relative to their own addresses, so that the library needs no relocation. */
struct entry {
	int32_t access;
	int32_t unreachable;
	int32_t misaligned;
	int32_t broken;
};

/* The linker makes these two for a section with the name of a C identifier. */
extern const struct entry __start_vdb_accesses[] __attribute__((visibility("hidden")));
extern const struct entry __stop_vdb_accesses[] __attribute__((visibility("hidden")));

#define ACCESS(instruction)				\
	"1:	" instruction "\n"			\
	".pushsection vdb_accesses, \"a\"\n"		\
	"	.balign 4\n"				\
	"	.long 1b - .\n"				\
	"	.long %l[unreachable] - .\n"		\
	"	.long %l[misaligned] - .\n"		\
	"	.long %l[broken] - .\n"			\
	".popsection\n"

/* A failed access continues in one of these.  They return the error. */
#define FAULTS						\
unreachable:						\
	return EFAULT;					\
misaligned:						\
	return EINVAL;					\
broken:							\
	return EIO

#define DEFINE_ACCESS(bits)							\
static inline int load##bits(const volatile void *address, uint##bits##_t *value) \
{									\
	uint##bits##_t got;						\
									\
	__asm__ goto(ACCESS(VDB_LOAD##bits)				\
		     : "=" VDB_VALUE (got)				\
		     : VDB_MEMORY (*(const volatile uint##bits##_t *)address) \
		     : "memory" : unreachable, misaligned, broken);	\
	*value = got;							\
	return 0;							\
	FAULTS;								\
}									\
									\
static inline int store##bits(volatile void *address, uint##bits##_t value) \
{									\
	__asm__ goto(ACCESS(VDB_STORE##bits)				\
		     :							\
		     : VDB_MEMORY (*(volatile uint##bits##_t *)address), VDB_VALUE (value) \
		     : "memory" : unreachable, misaligned, broken);	\
	return 0;							\
	FAULTS;								\
}

static int store_block(volatile char *to, const char *from)
{
	vdb_part parts[VDB_BLOCK / sizeof(vdb_part)];

	memcpy(parts, from, VDB_BLOCK);
	__asm__ goto(VDB_STORE_BLOCK(ACCESS)
		     :
		     : "r" (to), VDB_PARTS(parts)
		     : "memory" : unreachable, misaligned, broken);
	return 0;
	FAULTS;
}

/*
 * Whether an instruction has caused the signal, and causes it again if it is repeated.
 * A signal that was sent, or that reports a memory error found elsewhere, says nothing
 * about the instruction that it interrupted.
 */
static bool is_fault(const siginfo_t *info)
{
	return info->si_signo == SIGBUS && info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

/* BUS_OBJERR and BUS_MCEERR_AR: the access was made, and the bus or the device failed it. */
static uintptr_t fixup(const struct entry *entry, int code)
{
	switch (code) {
	case BUS_ADRALN:
		return (uintptr_t)&entry->misaligned + entry->misaligned;
	case BUS_OBJERR:
	case BUS_MCEERR_AR:
		return (uintptr_t)&entry->broken + entry->broken;
	default:
		return (uintptr_t)&entry->unreachable + entry->unreachable;
	}
}

bool vdb_guard_handle(const siginfo_t *info, void *context)
{
	ucontext_t *where = context;
	uintptr_t pc = (uintptr_t)VDB_PROGRAM_COUNTER(where);
	const struct entry *entry;

	if (!is_fault(info))
		return false;
	for (entry = __start_vdb_accesses; entry < __stop_vdb_accesses; entry++) {
		if ((uintptr_t)&entry->access + entry->access != pc)
			continue;
		VDB_PROGRAM_COUNTER(where) = fixup(entry, info->si_code);
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
	} else if (is_fault(info)) {
		/* The access faults again, and now ends the process. */
		sigaction(SIGBUS, &former, NULL);
	} else if (former.sa_handler == SIG_DFL) {
		/* It does not come again by itself. */
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
#define SUPPORTED	false

/* Never called. */
#define DEFINE_ACCESS(bits)						\
static int load##bits(const volatile void *address, uint##bits##_t *value) \
{									\
	(void)address;							\
	(void)value;							\
	return ENOTSUP;							\
}									\
									\
static int store##bits(volatile void *address, uint##bits##_t value)	\
{									\
	(void)address;							\
	(void)value;							\
	return ENOTSUP;							\
}

static int store_block(volatile char *to, const char *from)
{
	(void)to;
	(void)from;
	return ENOTSUP;
}

bool vdb_guard_handle(const siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	return false;
}

int vdb_guard_enable(void)
{
	return fail(ENOTSUP);
}

#endif

bool vdb_guard_supported(void)
{
	return SUPPORTED;
}

/*
 * Before the access, because not every CPU and memory type faults.  On x86 no unaligned
 * access does, but it reaches the device as two.
 */
static int check(const volatile void *address, size_t length, size_t width)
{
	if (!SUPPORTED)
		return ENOTSUP;
	return ((uintptr_t)address | length) & (width - 1) ? EINVAL : 0;
}

#define DEFINE_TRY(bits)						\
DEFINE_ACCESS(bits)							\
									\
int vdb_try_read##bits(const volatile void *address, uint##bits##_t *value) \
{									\
	int error = check(address, 0, sizeof(*value));			\
									\
	if (!error)							\
		error = load##bits(address, value);			\
	VDB_AFTER_READ();						\
	return error ? fail(error) : 0;					\
}									\
									\
int vdb_try_write##bits(volatile void *address, uint##bits##_t value)	\
{									\
	int error = check(address, 0, sizeof(value));			\
									\
	VDB_BEFORE_WRITE();						\
	if (!error)							\
		error = store##bits(address, value);			\
	return error ? fail(error) : 0;					\
}									\
									\
static int copy_from##bits(char *to, const volatile char *from, size_t length, size_t *done) \
{									\
	for (; *done < length; *done += sizeof(uint##bits##_t)) {	\
		uint##bits##_t value;					\
		int error = load##bits(from + *done, &value);		\
									\
		if (error)						\
			return error;					\
		memcpy(to + *done, &value, sizeof(value));		\
	}								\
	return 0;							\
}									\
									\
static int copy_to##bits(volatile char *to, const char *from, size_t length, size_t *done) \
{									\
	for (; *done < length; *done += sizeof(uint##bits##_t)) {	\
		uint##bits##_t value;					\
		int error;						\
									\
		memcpy(&value, from + *done, sizeof(value));		\
		error = store##bits(to + *done, value);			\
		if (error)						\
			return error;					\
	}								\
	return 0;							\
}

DEFINE_TRY(8)
DEFINE_TRY(16)
DEFINE_TRY(32)
DEFINE_TRY(64)

static int copy_blocks(volatile char *to, const char *from, size_t length, size_t *done)
{
	for (; *done < length; *done += VDB_BLOCK) {
		int error = store_block(to + *done, from + *done);

		if (error)
			return error;
	}
	return 0;
}

static int copy_from(char *to, const volatile char *from, size_t length, unsigned int width,
		     size_t *done)
{
	int error = check(from, length, width);

	if (error)
		return error;
	switch (width) {
	case 1:	return copy_from8(to, from, length, done);
	case 2:	return copy_from16(to, from, length, done);
	case 4:	return copy_from32(to, from, length, done);
	case 8:	return copy_from64(to, from, length, done);
	default: return EINVAL;
	}
}

static int copy_to(volatile char *to, const char *from, size_t length, unsigned int width,
		   size_t *done)
{
	int error = check(to, length, width);

	if (error)
		return error;
	switch (width) {
	case 1:	return copy_to8(to, from, length, done);
	case 2:	return copy_to16(to, from, length, done);
	case 4:	return copy_to32(to, from, length, done);
	case 8:	return copy_to64(to, from, length, done);
	case VDB_BLOCK: return copy_blocks(to, from, length, done);
	default: return EINVAL;
	}
}

int vdb_try_copy_from(void *to, const volatile void *from, size_t length, unsigned int width,
		      size_t *copied)
{
	size_t done = 0;
	int error = copy_from(to, from, length, width, &done);

	VDB_AFTER_READ();
	if (copied)
		*copied = done;
	return error ? fail(error) : 0;
}

int vdb_try_copy_to(volatile void *to, const void *from, size_t length, unsigned int width,
		    size_t *copied)
{
	size_t done = 0;
	int error;

	VDB_BEFORE_WRITE();
	error = copy_to(to, from, length, width, &done);
	if (copied)
		*copied = done;
	return error ? fail(error) : 0;
}
