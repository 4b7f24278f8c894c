// SPDX-License-Identifier: MIT
/*
 * The recipes of libvfio-dmabuf(3) for programs with other handlers of SIGBUS: runtimes
 * of other languages, and threads that block the signal.  As in test_guard, a file that
 * has become shorter than its mapping is the slice.
 *
 * Go's runtime is played by C: handlers on a stack of the thread's own, installed
 * before or after the library's, that turn faults of their own code into something
 * that the program can catch.  Go itself is tested in a guest (tests/go), because it is
 * large.  Python is Python.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "suite.h"

static char *memory;

/* What a slice is after it was revoked. */
static void setup(void)
{
	int file = memfd_create("slice", MFD_CLOEXEC);

	ck_assert_works(file);
	ck_assert_works(ftruncate(file, 4096));
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_works(ftruncate(file, 0));
}

static bool guarded_access_fails(void)
{
	uint32_t value = 7;

	errno = 0;
	return vdb_try_read32(memory, &value) == -1 && errno == EFAULT && value == 7;
}

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

/* ---- a runtime such as Go's ---- */

static struct sigaction found;		/* by the runtime, when it installed its handler */
static _Thread_local sigjmp_buf panic;
static _Thread_local volatile bool in_own_code;
static _Thread_local char *stack;
static _Thread_local int faults;
static size_t stack_size;

static void on_fault(int number, siginfo_t *info, void *context)
{
	char *here = __builtin_frame_address(0);

	/* As Go does with faults of C code, if there was a handler before its own. */
	if (!in_own_code && found.sa_flags & SA_SIGINFO && found.sa_sigaction) {
		found.sa_sigaction(number, info, context);
		return;
	}
	if (!in_own_code || info->si_addr != memory || here < stack || here >= stack + stack_size)
		_exit(1);
	faults++;
	siglongjmp(panic, 1);
}

static void install_runtime(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};

	sigfillset(&action.sa_mask);
	ck_assert_works(sigaction(SIGBUS, &action, &found));
}

/* A plain access in the language of the runtime; whether that panicked. */
static bool own_access_panics(void)
{
	if (!sigsetjmp(panic, 1)) {
		in_own_code = true;
		*(volatile char *)memory;
		in_own_code = false;
		return false;
	}
	in_own_code = false;
	return true;
}

static void *thread_of_the_runtime(void *unused)
{
	stack_t alternate = { .ss_size = stack_size }, before;

	(void)unused;
	stack = alternate.ss_sp = malloc(stack_size);
	if (!stack || sigaltstack(&alternate, &before))
		return "its stack";
	for (int i = 0; i < 100; i++)
		if (!guarded_access_fails() || !own_access_panics())
			return "its accesses";
	if (faults != 100)
		return "faults that are the library's";
	/* Of a sanitizer, which unmaps it. */
	if (sigaltstack(&before, NULL))
		return "its stack";
	free(stack);
	return NULL;
}

/* Go program: the runtime is there first.  Library in Go: it comes later. */
START_TEST(runtime_with_threads)
{
	pthread_t threads[8];
	void *failed;

	stack_size = sysconf(_SC_SIGSTKSZ) + 32768;
	if (_i)
		ck_assert_works(vdb_guard_enable());
	install_runtime();
	if (!_i)
		ck_assert_works(vdb_guard_enable());
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, thread_of_the_runtime, NULL), 0);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
		ck_assert_msg(!failed, "%s", (char *)failed);
	}
}
END_TEST

/* ---- threads that block signals ---- */

static void blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	if (vdb_guard_enable() || guarded_access_fails())
		_exit(1);
	_exit(2);
}

START_TEST(blocked_signal_ends_the_process)
{
	int status = status_of_child(blocked);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %#x", status);
}
END_TEST

/* All signals but those that come from the thread itself. */
static void blocked_all_but(void)
{
	sigset_t most;

	sigfillset(&most);
	sigdelset(&most, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &most, NULL);
	if (vdb_guard_enable() || !guarded_access_fails())
		_exit(1);
}

START_TEST(all_other_signals_may_be_blocked)
{
	int status = status_of_child(blocked_all_but);

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x", status);
}
END_TEST

/* ---- Python ---- */

static int run_python(const char *what, char *output, size_t size)
{
	char command[1024];
	size_t length;
	FILE *python;

	snprintf(command, sizeof(command), "python3 " SCRIPT " " PLAIN_LIBRARY " %s 2>&1", what);
	python = popen(command, "r");
	ck_assert_ptr_nonnull(python);
	length = fread(output, 1, size - 1, python);
	output[length] = '\0';
	return pclose(python);
}

/* The shell reports a signal as 128 and its number. */
static void check_bus_error(int status, const char *output)
{
	ck_assert_msg((WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGBUS) ||
		      (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS), "status %#x: %s", status, output);
}

START_TEST(python_raises)
{
	static const char *const ways[] = { "plain", "faulthandler" };
	char output[4096];
	int status = run_python(ways[_i], output, sizeof(output));

	ck_assert_msg(!status, "%s", output);
	ck_assert_str_eq(output, "EFAULT\n");
}
END_TEST

/* Faults that are not the library's still have a traceback. */
START_TEST(python_shows_other_faults)
{
	char output[4096];

	check_bus_error(run_python("other", output, sizeof(output)), output);
	ck_assert_msg(strstr(output, "Bus error") && strstr(output, "in other_access"), "%s", output);
}
END_TEST

/* This is why the manual gives the order. */
START_TEST(faulthandler_comes_first)
{
	char output[4096];

	check_bus_error(run_python("late", output, sizeof(output)), output);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("runtimes");
	TCase *tc = add_group(s, "go");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, runtime_with_threads, 0, 2);

	tc = add_group(s, "blocked");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, blocked_signal_ends_the_process);
	tcase_add_test(tc, all_other_signals_may_be_blocked);

	tc = add_group(s, "python");
	tcase_add_loop_test(tc, python_raises, 0, 2);
	tcase_add_test(tc, python_shows_other_faults);
	tcase_add_test(tc, faulthandler_comes_first);
	return s;
}
