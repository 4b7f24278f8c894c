// SPDX-License-Identifier: MIT
/* Messages to the service manager, and fds that it passes to the next process. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/store.h"
#include "suite.h"

static int manager = -1;

static void start_manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(sa_family_t);
	char name[sizeof(address.sun_path) + 1];

	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(manager, 0);
	/* An abstract name that the kernel chooses. */
	ck_assert_works(bind(manager, (struct sockaddr *)&address, length));
	length = sizeof(address);
	ck_assert_works(getsockname(manager, (struct sockaddr *)&address, &length));
	snprintf(name, sizeof(name), "@%.*s", (int)(length - sizeof(sa_family_t) - 1),
		 address.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("FDSTORE", "64", 1);
}

/* The next message, and the fd that came with it, or -1. */
static int next_message(char *text, size_t size, int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int)) + 256];
	} control;
	struct iovec iov = { text, size - 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(manager, &message, flags | MSG_CMSG_CLOEXEC);
	int fd = -1;

	text[got < 0 ? 0 : got] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); got >= 0 && c;
	     c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void expect(const char *expected, int sent)
{
	char text[512];
	struct stat is, should;
	int fd = next_message(text, sizeof(text), MSG_DONTWAIT);

	ck_assert_str_eq(text, expected);
	ck_assert_int_eq(fd >= 0, sent >= 0);
	if (sent < 0)
		return;
	ck_assert_works(fstat(fd, &is));
	ck_assert_works(fstat(sent, &should));
	ck_assert_uint_eq(is.st_ino, should.st_ino);
	close(fd);
}

START_TEST(one_message_each)
{
	int fd = memfd_create("kept", MFD_CLOEXEC);

	start_manager();
	ck_assert(store_exists());
	ck_assert_works(store_put_state(fd));
	expect("FDSTORE=1\nFDNAME=state\nFDPOLL=0", fd);
	ck_assert_works(store_put_client(UINT64_MAX, fd));
	expect("FDSTORE=1\nFDNAME=client-18446744073709551615\nFDPOLL=0", fd);
	ck_assert_works(store_put_device("0000:01:00.0", fd));
	expect("FDSTORE=1\nFDNAME=device-0000_01_00.0\nFDPOLL=0", fd);
	ck_assert_works(store_put_dma("0000:01:00.0", 2, fd));
	expect("FDSTORE=1\nFDNAME=dma-0000_01_00.0-2\nFDPOLL=0", fd);
	ck_assert_works(store_put_driver("0000:01:00.0", fd));
	expect("FDSTORE=1\nFDNAME=driver-0000_01_00.0\nFDPOLL=0", fd);
	ck_assert_works(store_put_memory(UINT64_MAX, fd));
	expect("FDSTORE=1\nFDNAME=memory-18446744073709551615\nFDPOLL=0", fd);
	ck_assert_works(store_remove_dma("0000:01:00.0", 0));
	expect("FDSTOREREMOVE=1\nFDNAME=dma-0000_01_00.0-0", -1);
	ck_assert_works(store_remove_driver("0000:01:00.0"));
	expect("FDSTOREREMOVE=1\nFDNAME=driver-0000_01_00.0", -1);
	ck_assert_works(store_remove_memory(7));
	expect("FDSTOREREMOVE=1\nFDNAME=memory-7", -1);
	ck_assert_works(store_remove_state());
	expect("FDSTOREREMOVE=1\nFDNAME=state", -1);
	ck_assert_works(store_remove_client(7));
	expect("FDSTOREREMOVE=1\nFDNAME=client-7", -1);
	ck_assert_works(store_remove_device("10000:e1:00.0"));
	expect("FDSTOREREMOVE=1\nFDNAME=device-10000_e1_00.0", -1);
	/* And nothing else. */
	expect("", -1);
	/* A manager that is not there any more. */
	close(manager);
	ck_assert_int_eq(store_put_state(fd), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	ck_assert_int_eq(store_remove_state(), -1);
}
END_TEST

static void *answer(void *data)
{
	char text[512];
	int fd;

	(void)data;
	fd = next_message(text, sizeof(text), 0);
	ck_assert_str_eq(text, "FDSTOREREMOVE=1\nFDNAME=state");
	fd = next_message(text, sizeof(text), 0);
	ck_assert_str_eq(text, "BARRIER=1");
	ck_assert_int_ge(fd, 0);
	close(fd);
	return NULL;
}

START_TEST(waiting_for_the_manager)
{
	pthread_t thread;

	start_manager();
	ck_assert_int_eq(pthread_create(&thread, NULL, answer, NULL), 0);
	ck_assert_works(store_remove_state());
	ck_assert_works(store_wait());
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(no_store)
{
	int fd = memfd_create("kept", MFD_CLOEXEC);

	if (_i != 0)
		start_manager();
	else
		unsetenv("NOTIFY_SOCKET");
	if (_i == 1)
		unsetenv("FDSTORE");
	if (_i == 2)
		setenv("FDSTORE", "0", 1);
	ck_assert(!store_exists());
	ck_assert_works(store_put_state(fd));
	ck_assert_works(store_put_client(1, fd));
	ck_assert_works(store_put_device("x", fd));
	ck_assert_works(store_remove_client(1));
	ck_assert_works(store_wait());
	if (_i != 0)
		expect("", -1);
}
END_TEST

#define MUST(what)	do { if (!(what)) _exit(__LINE__ & 0xff); } while (0)

static const struct {
	const char *name;
	struct stored stored;
} names[] = {
	{ "vfio-dmabufd.socket", { .type = STORED_OTHER } },
	{ "state", { .type = STORED_STATE } },
	{ "client-18446744073709551615", { .type = STORED_CLIENT, .client = UINT64_MAX } },
	{ "device-0000_01_00.0", { .type = STORED_DEVICE, .bdf = "0000:01:00.0" } },
	{ "device-10000_e1_00.0", { .type = STORED_DEVICE, .bdf = "10000:e1:00.0" } },
	{ "client-", { .type = STORED_OTHER } },
	{ "client-07", { .type = STORED_OTHER } },
	{ "client-7x", { .type = STORED_OTHER } },
	{ "client--1", { .type = STORED_OTHER } },
	{ "device-", { .type = STORED_OTHER } },
	{ "device-0123456789012345", { .type = STORED_OTHER } },
	{ "dma-10000_e1_00.0-4294967295", { .type = STORED_DMA, .bdf = "10000:e1:00.0", .ioas = UINT32_MAX } },
	{ "dma-0000_01_00.0", { .type = STORED_OTHER } },
	{ "dma-0000_01_00.0-", { .type = STORED_OTHER } },
	{ "dma-0000_01_00.0-01", { .type = STORED_OTHER } },
	{ "dma--1", { .type = STORED_OTHER } },
	{ "driver-0000_01_00.0", { .type = STORED_DRIVER, .bdf = "0000:01:00.0" } },
	{ "memory-18446744073709551615", { .type = STORED_MEMORY, .lease = UINT64_MAX } },
	{ "memory-07", { .type = STORED_OTHER } },
	{ "states", { .type = STORED_OTHER } },
	{ "state", { .type = STORED_STATE } },
	{ "stored", { .type = STORED_OTHER } },
};
#define NAMES	(int)(sizeof(names) / sizeof(names[0]))

/* As the manager would hand them over; in a process that has no other fds at these places. */
static void take_all(void)
{
	struct stored *stored;
	char all[1024] = "", number[16];

	for (int i = 0; i < NAMES; i++) {
		MUST(dup2(0, 3 + i) == 3 + i);
		sprintf(all + strlen(all), "%s%s", i ? ":" : "", names[i].name);
	}
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%d", NAMES);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", all, 1);
	MUST(store_take_all(&stored) == NAMES);
	for (int i = 0; i < NAMES; i++) {
		const struct stored *should = &names[i].stored;

		MUST(stored[i].fd == 3 + i);
		MUST(fcntl(3 + i, F_GETFD) & FD_CLOEXEC);
		MUST(stored[i].type == should->type);
		MUST(should->type != STORED_CLIENT || stored[i].client == should->client);
		MUST(!*should->bdf || !strcmp(stored[i].bdf, should->bdf));
		MUST(stored[i].lease == should->lease || should->type == STORED_OTHER);
		MUST(stored[i].ioas == should->ioas || should->type == STORED_OTHER);
	}
	free(stored);
	/* Once only: they are this process's now. */
	MUST(store_take_all(&stored) == 0 && !stored);
	_exit(0);
}

START_TEST(what_comes_back)
{
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (!child)
		take_all();
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "status %#x, line %d mod 256", status, status >> 8);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker-store");
	TCase *tc = add_group(s, "store");

	tcase_add_test(tc, one_message_each);
	tcase_add_test(tc, waiting_for_the_manager);
	tcase_add_loop_test(tc, no_store, 0, 3);
	tcase_add_test(tc, what_comes_back);
	return s;
}
