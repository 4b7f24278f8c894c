// SPDX-License-Identifier: MIT
/*
 * Copies from and to the device: their values, their errors, and the width of each
 * access.  A file takes the place of a slice.  In the guest they are tested with devices.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "suite.h"

#define LENGTH	256

static const unsigned int widths[] = { 1, 2, 4, 8, VDB_BLOCK };
#define NR_LOADS	4	/* of them also for vdb_copy_from() */
#define NR_WIDTHS	5

static size_t page;
static int file;
static char *device;	/* two pages */
static char *view;	/* the same, elsewhere */

static char *map_file(void)
{
	char *address = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	ck_assert_ptr_ne(address, MAP_FAILED);
	return address;
}

static void setup(void)
{
	page = sysconf(_SC_PAGESIZE);
	file = memfd_create("slice", MFD_CLOEXEC);
	ck_assert_works(file);
	ck_assert_works(ftruncate(file, 2 * page));
	device = map_file();
	view = map_file();
	ck_assert_works(vdb_guard_enable());
}

/* Each byte differs from its neighbours, and from 0. */
static void fill(char *memory, size_t length)
{
	for (size_t i = 0; i < length; i++)
		memory[i] = 1 + i % 251;
}

static int copy_from(bool guarded, void *to, const void *from, size_t length, unsigned int width)
{
	size_t copied;
	int ret;

	if (!guarded)
		return vdb_copy_from(to, from, length, width);
	ret = vdb_try_copy_from(to, from, length, width, &copied);
	ck_assert_uint_eq(copied, ret ? 0 : length);
	return ret;
}

static int copy_to(bool guarded, void *to, const void *from, size_t length, unsigned int width)
{
	size_t copied;
	int ret;

	if (!guarded)
		return vdb_copy_to(to, from, length, width);
	ret = vdb_try_copy_to(to, from, length, width, &copied);
	ck_assert_uint_eq(copied, ret ? 0 : length);
	return ret;
}

/* At an address of the device that is aligned to no more than the width, and at an odd one of memory. */
START_TEST(bytes_come_through)
{
	unsigned int width = widths[_i % NR_WIDTHS];
	bool guarded = _i >= NR_WIDTHS;
	char memory[1 + LENGTH + 1], *at = device + VDB_BLOCK + width;

	memory[0] = memory[1 + LENGTH] = 0x77;
	fill(memory + 1, LENGTH);
	ck_assert_works(copy_to(guarded, at, memory + 1, LENGTH, width));
	ck_assert_mem_eq(at, memory + 1, LENGTH);
	ck_assert(!at[-1] && !at[LENGTH]);
	if (width > 8)
		return;
	memset(memory + 1, 0, LENGTH);
	ck_assert_works(copy_from(guarded, memory + 1, at, LENGTH, width));
	ck_assert_mem_eq(at, memory + 1, LENGTH);
	ck_assert(memory[0] == 0x77 && memory[1 + LENGTH] == 0x77);
}
END_TEST

static const struct {
	size_t offset, length;
	unsigned int width;
} bad[] = {
	{ 0, 64, 0 }, { 0, 66, 3 }, { 0, 64, 16 }, { 0, 64, 32 }, { 0, 128, 128 }, { 0, 64, -1 },
	{ 1, 64, 2 }, { 2, 64, 4 }, { 4, 64, 8 }, { 8, 64, 64 },
	{ 0, 1, 2 }, { 0, 6, 4 }, { 0, 12, 8 }, { 0, 96, 64 },
	{ 0, 64, 64 },	/* only of vdb_copy_from() */
};
#define NR_BAD		(sizeof(bad) / sizeof(bad[0]))
#define BAD_FOR_BOTH	(NR_BAD - 1)

START_TEST(misuse_copies_nothing)
{
	char memory[128], untouched[128] = "";

	for (int guarded = 0; guarded < 2; guarded++) {
		memset(memory, 0, sizeof(memory));
		fill(device, sizeof(memory));
		ck_assert_fails(copy_from(guarded, memory, device + bad[_i].offset, bad[_i].length, bad[_i].width),
				EINVAL);
		ck_assert_mem_eq(memory, untouched, sizeof(memory));
		if (_i >= (int)BAD_FOR_BOTH)
			continue;
		memset(device, 0, sizeof(memory));
		fill(memory, sizeof(memory));
		ck_assert_fails(copy_to(guarded, device + bad[_i].offset, memory, bad[_i].length, bad[_i].width),
				EINVAL);
		ck_assert_mem_eq(device, untouched, sizeof(memory));
	}
}
END_TEST

START_TEST(nothing_is_nothing)
{
	ck_assert_works(vdb_copy_from(NULL, NULL, 0, 8));
	ck_assert_works(vdb_copy_to(NULL, NULL, 0, 64));
	ck_assert_works(vdb_try_copy_from(NULL, NULL, 0, 8, NULL));
	ck_assert_works(vdb_try_copy_to(NULL, NULL, 0, 64, NULL));
}
END_TEST

/* The second page is revoked. */
START_TEST(revoked_in_the_middle)
{
	char memory[LENGTH];
	size_t copied;

	fill(device + page - 128, 128);
	ck_assert_works(ftruncate(file, page));
	if (widths[_i] <= 8) {
		memset(memory, 0, sizeof(memory));
		ck_assert_fails(vdb_try_copy_from(memory, device + page - 128, LENGTH, widths[_i], &copied), EFAULT);
		ck_assert_uint_eq(copied, 128);
		ck_assert_mem_eq(memory, device + page - 128, 128);
		ck_assert(!memory[128]);
	}
	memset(memory, 0x55, sizeof(memory));
	ck_assert_fails(vdb_try_copy_to(device + page - 128, memory, LENGTH, widths[_i], &copied), EFAULT);
	ck_assert_uint_eq(copied, 128);
	ck_assert_mem_eq(device + page - 128, memory, 128);
	ck_assert_fails(vdb_try_copy_to(device + page, memory, LENGTH, widths[_i], NULL), EFAULT);
}
END_TEST

/* A wider load would reach into the second page. */
START_TEST(loads_are_not_wider)
{
	char memory[8];

	ck_assert_works(ftruncate(file, page));
	ck_assert_works(vdb_try_copy_from(memory, device + page - widths[_i], widths[_i], widths[_i], NULL));
	ck_assert_works(vdb_copy_from(memory, device + page - widths[_i], widths[_i], widths[_i]));
}
END_TEST

/* ---- the width of stores: a process that is traced stores, instruction by instruction ---- */

/* Exits with the errno of the guarded copy, and fails if it reports too much. */
static void store_traced(bool guarded, unsigned int width)
{
	char memory[LENGTH];
	size_t copied;
	int ret;

	fill(memory, LENGTH);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	if (!guarded)
		_exit(vdb_copy_to(device, memory, LENGTH, width));
	ret = vdb_try_copy_to(device, memory, LENGTH, width, &copied);
	_exit(copied != (ret ? 0 : LENGTH) ? 255 : ret ? errno : 0);
}

static pid_t start_traced(bool guarded, unsigned int width)
{
	pid_t pid = fork();
	int status;

	ck_assert_works(pid);
	if (!pid)
		store_traced(guarded, width);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	return pid;
}

/* One instruction; false: the process has ended. */
static bool step(pid_t pid)
{
	int status;

	ck_assert_works(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		return false;
	ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "status %#x", status);
	return true;
}

/* How many bytes from there on have been stored. */
static unsigned int stored(size_t offset)
{
	unsigned int nr = 0;

	while (offset + nr < LENGTH && view[offset + nr])
		nr++;
	return nr;
}

START_TEST(each_store_has_the_width)
{
	unsigned int width = widths[_i % NR_WIDTHS], done = 0;
	/* The instructions that make a block store 16 bytes each. */
	unsigned int each = width == VDB_BLOCK ? 16 : width;
	pid_t pid = start_traced(_i >= NR_WIDTHS, width);
	long steps = 0, last = 0;

	while (step(pid)) {
		unsigned int now = stored(done);

		steps++;
		if (!now)
			continue;
		ck_assert_uint_eq(now, each);
		/* Nothing else comes between the stores of a block. */
		if (done % width)
			ck_assert_int_eq(steps, last + 1);
		done += now;
		last = steps;
	}
	ck_assert_uint_eq(done, LENGTH);
}
END_TEST

/* After each of the stores of a block but the last one. */
START_TEST(revoked_within_a_block)
{
	pid_t pid = start_traced(true, VDB_BLOCK);
	int status;

	while (stored(0) < 16U * (1 + _i))
		ck_assert(step(pid));
	ck_assert_works(ftruncate(file, 0));
	ck_assert_works(ptrace(PTRACE_CONT, pid, NULL, NULL));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGBUS);
	ck_assert_works(ptrace(PTRACE_CONT, pid, NULL, SIGBUS));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == EFAULT, "status %#x", status);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("copy");
	TCase *tc = add_group(s, "copy");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, bytes_come_through, 0, 2 * NR_WIDTHS);
	tcase_add_loop_test(tc, misuse_copies_nothing, 0, NR_BAD);
	tcase_add_test(tc, nothing_is_nothing);
	tcase_add_loop_test(tc, revoked_in_the_middle, 0, NR_WIDTHS);
	tcase_add_loop_test(tc, loads_are_not_wider, 0, NR_LOADS);
	tcase_add_loop_test(tc, each_store_has_the_width, 0, 2 * NR_WIDTHS);
	tcase_add_loop_test(tc, revoked_within_a_block, 0, 3);
	return s;
}
