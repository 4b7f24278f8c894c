// SPDX-License-Identifier: MIT
/*
 * Malicious messages in place of slices.  None of them may be accepted as a slice, and
 * none of their fds may stay open.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fds.h"
#include "internal.h"
#include "suite.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD	76
#endif

static int ends[2];

/* The message as it stands on the wire; see lib/pass.c. */
struct wire {
	uint16_t magic;
	uint16_t version;
	uint32_t bar;
	uint32_t flags;
	uint16_t watched;
	uint16_t state;
	uint64_t offset;
	uint64_t length;
	uint64_t changes;
	char bdf[16];
};

static const struct wire good = {
	.magic = 0x5356, .version = 2, .length = 4096, .bdf = "0000:01:00.0",
};

static void setup(void)
{
	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
}

/* The number of the next fd shows whether one was leaked. */
static int next_fd(void)
{
	int fd = dup(ends[0]);

	close(fd);
	return fd;
}

static int some_file(void)
{
	int fd = memfd_create("no DMABUF", MFD_CLOEXEC);

	ck_assert_works(fd);
	ck_assert_works(ftruncate(fd, 4096));
	return fd;
}

static void check_refused(const void *message, size_t size, unsigned int nr)
{
	int fds[8] = { 0 }, before;

	for (unsigned int i = 0; i < nr; i++)
		fds[i] = some_file();
	ck_assert_works(fds_send(ends[1], message, size, fds, nr, 0));
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i]);

	before = next_fd();
	errno = 0;
	ck_assert_ptr_null(vdb_slice_receive(ends[0]));
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_int_eq(next_fd(), before);
}

START_TEST(what_is_no_dmabuf)
{
	check_refused(&good, sizeof(good), 1);
}
END_TEST

START_TEST(no_fd)
{
	check_refused(&good, sizeof(good), 0);
}
END_TEST

START_TEST(more_fds_than_said)
{
	check_refused(&good, sizeof(good), 2);
}
END_TEST

START_TEST(more_fds_than_there_may_be)
{
	check_refused(&good, sizeof(good), 3 + _i);
}
END_TEST

START_TEST(short_and_long_messages)
{
	char big[sizeof(good) + 1] = { 0 };

	memcpy(big, &good, sizeof(good));
	check_refused(big, sizeof(big), 1);
	check_refused(big, sizeof(good) - 1, 1);
	check_refused(big, 1, 1);
}
END_TEST

/* It has the size of the end of the connection. */
START_TEST(empty_messages)
{
	check_refused(NULL, 0, 1 + _i);
}
END_TEST

START_TEST(other_magic_or_version)
{
	struct wire bad = good;

	bad.magic++;
	check_refused(&bad, sizeof(bad), 1);
	bad = good;
	bad.version++;
	check_refused(&bad, sizeof(bad), 1);
}
END_TEST

/* With some options of the socket, credentials come before the fds. */
START_TEST(credentials_leave_room_for_fds)
{
	int on = 1, file = some_file(), fds[2] = { file, file };
	struct wire got;
	bool lost;

	ck_assert_works(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	ck_assert_works(fds_send(ends[1], &good, sizeof(good), fds, 2, 0));
	ck_assert_int_eq(fds_receive(ends[0], &got, sizeof(got), fds, 2, 0, &lost), sizeof(got));
	ck_assert(!lost);
	ck_assert_int_ge(fds[0], 0);
	ck_assert_int_ge(fds[1], 0);
}
END_TEST

/* The socket may also be set to get a pidfd of the sender; since Linux 6.5. */
static void pass_pidfds(void)
{
	int on = 1;

	ck_assert_works(setsockopt(ends[0], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)));
}

static const char *no_pidfds(void)
{
	int on = 1, fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int ret = setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on));

	close(fd);
	return ret ? "the kernel passes no pidfds" : NULL;
}

START_TEST(pidfds_are_closed)
{
	pass_pidfds();
	for (int i = 0; i < 10; i++) {
		check_refused(&good, sizeof(good), i % 4);
		check_refused(&good, 1, 0);
	}
}
END_TEST

START_TEST(pidfd_is_no_fd_of_the_message)
{
	int on = 1, file = some_file(), before, fds[2] = { file, file };
	struct wire got;
	bool lost;

	pass_pidfds();
	ck_assert_works(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	ck_assert_works(setsockopt(ends[0], SOL_SOCKET, SO_PASSSEC, &on, sizeof(on)));
	ck_assert_works(fds_send(ends[1], &good, sizeof(good), fds, _i, 0));
	before = next_fd();
	ck_assert_int_eq(fds_receive(ends[0], &got, sizeof(got), fds, 2, 0, &lost), sizeof(got));
	ck_assert(!lost);
	ck_assert_int_eq(fds[0] >= 0, _i >= 1);
	ck_assert_int_eq(fds[1] >= 0, _i >= 2);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(next_fd(), before);
}
END_TEST

/* With room for neither of the two fds, and for one of them. */
START_TEST(no_room_for_the_fds)
{
	struct rlimit limit, before;
	int fds[2] = { some_file(), some_file() }, next = next_fd();

	ck_assert_works(fds_send(ends[1], &good, sizeof(good), fds, 2, 0));
	ck_assert_works(fds_send(ends[1], &good, sizeof(good), fds, 2, 0));
	ck_assert_works(getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	limit.rlim_cur = next + _i;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	errno = 0;
	ck_assert_ptr_null(vdb_slice_receive(ends[0]));
	ck_assert_int_eq(errno, EMFILE);
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &before));
	ck_assert_int_eq(next_fd(), next);
	/* The socket still works: the next message is refused for its own mistake. */
	ck_assert_ptr_null(vdb_slice_receive(ends[0]));
	ck_assert_int_eq(errno, EPROTO);
}
END_TEST

START_TEST(closed_end)
{
	close(ends[1]);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_receive(ends[0]));
	ck_assert_int_eq(errno, ENOTCONN);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("pass");
	TCase *tc = add_group(s, "messages");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, what_is_no_dmabuf);
	tcase_add_test(tc, no_fd);
	tcase_add_test(tc, more_fds_than_said);
	tcase_add_loop_test(tc, more_fds_than_there_may_be, 0, 6);
	tcase_add_test(tc, short_and_long_messages);
	tcase_add_loop_test(tc, empty_messages, 0, 3);
	tcase_add_test(tc, other_magic_or_version);
	tcase_add_test(tc, credentials_leave_room_for_fds);
	add_test_or_skip(tc, pidfds_are_closed, no_pidfds());
	if (!no_pidfds())
		tcase_add_loop_test(tc, pidfd_is_no_fd_of_the_message, 0, 3);
	tcase_add_loop_test(tc, no_room_for_the_fds, 0, 2);
	tcase_add_test(tc, closed_end);
	return s;
}
