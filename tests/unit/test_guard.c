// SPDX-License-Identifier: MIT
/*
 * The guarded accesses, with a file that has become shorter than its mapping in
 * place of a slice: the SIGBUS is the same.  With slices they are tested in the
 * guest.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "suite.h"

static char *memory;
static int file;

static void setup(void)
{
	file = memfd_create("slice", MFD_CLOEXEC);
	ck_assert_works(file);
	ck_assert_works(ftruncate(file, 4096));
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
}

static void take_away(void)
{
	ck_assert_works(ftruncate(file, 0));
}

START_TEST(is_supported)
{
	ck_assert(vdb_guard_supported());
}
END_TEST

START_TEST(values_come_through)
{
	uint8_t byte;
	uint16_t word;
	uint32_t dword;
	uint64_t qword;

	ck_assert_works(vdb_try_write64(memory, 0x8877665544332211));
	ck_assert_works(vdb_try_write32(memory + 8, 0xccbbaa99));
	ck_assert_works(vdb_try_write16(memory + 12, 0xeedd));
	ck_assert_works(vdb_try_write8(memory + 14, 0xff));
	ck_assert_works(vdb_try_read64(memory + 8, &qword));
	ck_assert_works(vdb_try_read32(memory + 4, &dword));
	ck_assert_works(vdb_try_read16(memory + 2, &word));
	ck_assert_works(vdb_try_read8(memory + 1, &byte));
	ck_assert_uint_eq(qword, 0x00ffeeddccbbaa99);
	ck_assert_uint_eq(dword, 0x88776655);
	ck_assert_uint_eq(word, 0x4433);
	ck_assert_uint_eq(byte, 0x22);
}
END_TEST

START_TEST(each_access_fails)
{
	uint8_t byte = 1;
	uint16_t word = 2;
	uint32_t dword = 3;
	uint64_t qword = 4;

	ck_assert_works(vdb_guard_enable());
	take_away();
	ck_assert_fails(vdb_try_read8(memory, &byte), EFAULT);
	ck_assert_fails(vdb_try_read16(memory, &word), EFAULT);
	ck_assert_fails(vdb_try_read32(memory, &dword), EFAULT);
	ck_assert_fails(vdb_try_read64(memory, &qword), EFAULT);
	ck_assert_fails(vdb_try_write8(memory, 0), EFAULT);
	ck_assert_fails(vdb_try_write16(memory, 0), EFAULT);
	ck_assert_fails(vdb_try_write32(memory, 0), EFAULT);
	ck_assert_fails(vdb_try_write64(memory, 0), EFAULT);
	/* A failed call has changed nothing. */
	ck_assert(byte == 1 && word == 2 && dword == 3 && qword == 4);
}
END_TEST

/* Also where the CPU would make the access, and where the slice is revoked. */
START_TEST(misuse_is_not_revocation)
{
	uint16_t word = 2;
	uint32_t dword = 3;
	uint64_t qword = 4;

	ck_assert_works(vdb_guard_enable());
	for (int i = 0; i < 2; i++) {
		ck_assert_fails(vdb_try_read16(memory + 1, &word), EINVAL);
		ck_assert_fails(vdb_try_read32(memory + 2, &dword), EINVAL);
		ck_assert_fails(vdb_try_read64(memory + 4, &qword), EINVAL);
		ck_assert_fails(vdb_try_write16(memory + 1, 1), EINVAL);
		ck_assert_fails(vdb_try_write32(memory + 2, 1), EINVAL);
		ck_assert_fails(vdb_try_write64(memory + 4, 1), EINVAL);
		ck_assert(word == 2 && dword == 3 && qword == 4);
		if (!i)
			ck_assert(!memory[1] && !memory[2] && !memory[4]);
		take_away();
	}
}
END_TEST

/* What the CPU reports, by the si_code that the kernel makes of it. */
static const struct {
	int code, error;
} codes[] = {
	{ BUS_ADRALN, EINVAL },
	{ BUS_ADRERR, EFAULT },
	{ BUS_OBJERR, EIO },
	{ BUS_MCEERR_AR, EIO },
};
static int code;

static void with_code(int number, siginfo_t *info, void *context)
{
	(void)number;
	info->si_code = code;
	if (!vdb_guard_handle(info, context))
		_exit(1);
}

START_TEST(error_is_that_of_the_signal)
{
	struct sigaction action = { .sa_sigaction = with_code, .sa_flags = SA_SIGINFO };
	uint32_t value;
	char buffer[64];
	size_t copied;

	ck_assert_works(sigaction(SIGBUS, &action, NULL));
	take_away();
	code = codes[_i].code;
	ck_assert_fails(vdb_try_read32(memory, &value), codes[_i].error);
	ck_assert_fails(vdb_try_write8(memory, 0), codes[_i].error);
	ck_assert_fails(vdb_try_copy_from(buffer, memory, 64, 8, &copied), codes[_i].error);
	ck_assert_fails(vdb_try_copy_to(memory, buffer, 64, 64, &copied), codes[_i].error);
}
END_TEST

/* ---- SIGBUS that is not a fault of an access ---- */

static int status_of_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid) {
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void default_disposition(void)
{
	signal(SIGBUS, SIG_DFL);
	vdb_guard_enable();
	raise(SIGBUS);
}

START_TEST(sent_signal_ends_the_process)
{
	int status = status_of_child(default_disposition);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %#x", status);
}
END_TEST

static void ignored(void)
{
	uint32_t value;

	signal(SIGBUS, SIG_IGN);
	vdb_guard_enable();
	raise(SIGBUS);
	if (!vdb_try_read32(memory, &value) || errno != EFAULT)
		_exit(1);
}

START_TEST(ignored_signal_leaves_the_guard)
{
	int status;

	take_away();
	status = status_of_child(ignored);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x", status);
}
END_TEST

static bool sent_was_handled;

/* As if the signal had come from elsewhere when the access was just about to be made. */
static void on_sigbus(int number, siginfo_t *info, void *context)
{
	siginfo_t sent = { .si_signo = number, .si_code = SI_USER };
	siginfo_t early = { .si_signo = number, .si_code = BUS_MCEERR_AO };

	sent_was_handled = vdb_guard_handle(&sent, context) || vdb_guard_handle(&early, context);
	if (!vdb_guard_handle(info, context))
		_exit(1);
}

START_TEST(sent_signal_is_no_fault)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	uint32_t value;

	ck_assert_works(sigaction(SIGBUS, &action, NULL));
	take_away();
	ck_assert_fails(vdb_try_read32(memory, &value), EFAULT);
	ck_assert(!sent_was_handled);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("guard");
	TCase *tc = add_group(s, "accesses");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, is_supported);
	tcase_add_test(tc, values_come_through);
	tcase_add_test(tc, each_access_fails);
	tcase_add_test(tc, misuse_is_not_revocation);
	tcase_add_loop_test(tc, error_is_that_of_the_signal, 0, sizeof(codes) / sizeof(codes[0]));

	tc = add_group(s, "signals");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, sent_signal_ends_the_process);
	tcase_add_test(tc, ignored_signal_leaves_the_guard);
	tcase_add_test(tc, sent_signal_is_no_fault);
	return s;
}
