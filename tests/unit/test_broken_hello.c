// SPDX-License-Identifier: MIT
/* What the client does with a faulty answer to its hello, or none. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "broken_broker.h"

static void other_version_script(int fd)
{
	say_error(fd, ask(fd, VDP_HELLO).header.serial, VDP_ERROR_VERSION);
}

START_TEST(other_version)
{
	start(other_version_script, false);
	ck_assert_str_eq(connect_fails(EPROTONOSUPPORT), "because");
	done();
}
END_TEST

static void later_version_script(int fd)
{
	answer_hello(fd, VDP_VERSION + 1);
}

START_TEST(version_that_was_not_offered)
{
	start(later_version_script, false);
	connect_fails(EPROTO);
	done();
}
END_TEST

static void half_script(int fd)
{
	ask(fd, VDP_HELLO);
	say(fd, "half", 4, 0);
}

START_TEST(half_a_hello)
{
	start(half_script, false);
	connect_fails(EPROTO);
	done();
}
END_TEST

static void refuse_script(int fd)
{
	char byte;

	if (wait_for_end == NEVER)
		must(recv(fd, &byte, 1, 0) == 1);
	_exit(0);
}

/* A connection over the limit is closed without a message, at any time. */
START_TEST(too_many_connections)
{
	wait_for_end = (enum wait)_i;
	start(refuse_script, false);
	close(listening);
	connect_fails(ENOTCONN);
	done();
}
END_TEST

START_TEST(nobody_there)
{
	close(listening);
	ck_assert_str_eq(connect_fails(ECONNREFUSED), strerror(ECONNREFUSED));
	ck_assert_ptr_null(vdb_client_connect("/nowhere/at/all", SHORT_MS, NULL));
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* It is stopped, for example: the kernel connects, and there is no answer. */
START_TEST(hello_is_not_answered)
{
	connect_fails(ETIMEDOUT);
}
END_TEST

START_TEST(connections_are_not_accepted)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	strcpy(address.sun_path, path);
	do
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	while (!connect(fd, (void *)&address, sizeof(address)));
	ck_assert_int_eq(errno, EAGAIN);
	connect_fails(ETIMEDOUT);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_broken_group(s, "hello");

	tcase_add_test(tc, other_version);
	tcase_add_test(tc, version_that_was_not_offered);
	tcase_add_test(tc, half_a_hello);
	tcase_add_loop_test(tc, too_many_connections, 0, 3);
	tcase_add_test(tc, nobody_there);
	tcase_add_test(tc, hello_is_not_answered);
	tcase_add_test(tc, connections_are_not_accepted);
	return s;
}
