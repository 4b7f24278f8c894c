// SPDX-License-Identifier: MIT
/*
 * The library's client with a broker that does wrong, played by a thread of the
 * test that sends prepared answers; with the real broker it is tested in the
 * guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <vfio-dmabuf-protocol.h>

#include "internal.h"
#include "suite.h"

#define MAX_ANSWERS	8

struct answer {
	size_t size;
	unsigned int nr_fds;
	union {
		struct vdp_header header;
		struct vdp_hello_answer hello;
		struct vdp_acquire_answer acquire;
		struct vdp_lease_item lease;
		struct vdp_event event;
		struct vdp_error error;
		char bytes[VDP_MAX_MESSAGE];
	};
};

static char path[64];
static int listening, file;
static pthread_t thread;
static struct answer answers[MAX_ANSWERS];
static unsigned int nr_answers;
static struct vdp_lease_request released;	/* the last that was */

static struct answer *add(uint16_t type, uint32_t serial, size_t size)
{
	struct answer *a = &answers[nr_answers++];

	ck_assert_uint_le(nr_answers, MAX_ANSWERS);
	*a = (struct answer){ .size = size };
	a->header = (struct vdp_header){ .type = type, .serial = serial };
	return a;
}

static void *serve(void *unused)
{
	int fd = accept(listening, NULL, NULL);
	int fds[] = { file, file, file, file };
	union {
		struct vdp_header header;
		struct vdp_lease_request release;
		char bytes[VDP_MAX_MESSAGE];
	} request;

	(void)unused;
	for (unsigned int i = 0; i < nr_answers; i++) {
		/* An answer with serial 0 is an event, or follows without a request. */
		if (answers[i].header.serial &&
		    (i == 0 || answers[i].header.serial != answers[i - 1].header.serial)) {
			if (recv(fd, request.bytes, sizeof(request), 0) <= 0)
				break;
			if (request.header.type == VDP_RELEASE)
				released = request.release;
		}
		vdb_send_fds(fd, answers[i].bytes, answers[i].size, fds, answers[i].nr_fds);
	}
	while (recv(fd, request.bytes, sizeof(request), 0) > 0)
		;
	close(fd);
	return NULL;
}

static void setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(path, sizeof(path), "/tmp/test_client.%d", getpid());
	unlink(path);
	strcpy(address.sun_path, path);
	listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_works(bind(listening, (void *)&address, sizeof(address)));
	ck_assert_works(listen(listening, 1));
	file = memfd_create("no DMABUF", MFD_CLOEXEC);
	ck_assert_works(file);
	nr_answers = 0;
}

static void teardown(void)
{
	unlink(path);
}

static struct vdb_client *client_of_prepared(void)
{
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	return vdb_client_connect(path);
}

static struct vdb_client *connected(void)
{
	struct vdb_client *client = client_of_prepared();

	ck_assert_ptr_nonnull(client);
	return client;
}

static void add_hello(void)
{
	add(VDP_HELLO | VDP_ANSWER, 1, sizeof(struct vdp_hello_answer))->hello.version = 1;
}

static void done(struct vdb_client *client)
{
	vdb_client_close(client);
	pthread_join(thread, NULL);
}

static int next_fd(void)
{
	int fd = dup(listening);

	close(fd);
	return fd;
}

START_TEST(other_version)
{
	add(VDP_ERROR, 1, sizeof(struct vdp_error))->error.code = VDP_ERROR_VERSION;
	ck_assert_ptr_null(client_of_prepared());
	ck_assert_int_eq(errno, EPROTONOSUPPORT);
	pthread_join(thread, NULL);
}
END_TEST

/*
 * In place of the C library's, which is what the library calls: they wait until
 * the broker has closed the connection, if they are told to.
 */
static enum wait { NEVER, BEFORE_SENDING, BEFORE_RECEIVING } wait_for_end;

static void wait_if(enum wait when, int fd)
{
	struct pollfd p = { .fd = fd };

	while (wait_for_end == when && !(p.revents & POLLHUP))
		ck_assert_int_eq(poll(&p, 1, -1), 1);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	int ret = syscall(SYS_connect, fd, address, size);

	if (!ret)
		wait_if(BEFORE_SENDING, fd);
	return ret;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	wait_if(BEFORE_RECEIVING, fd);
	return syscall(SYS_recvmsg, fd, message, flags);
}

static void *refuse(void *unused)
{
	static const struct vdp_error error = {
		.header = { .type = VDP_ERROR }, .code = VDP_ERROR_LIMIT,
	};
	int fd = accept(listening, NULL, NULL);
	char byte;

	(void)unused;
	if (wait_for_end != BEFORE_SENDING)
		recv(fd, &byte, 1, wait_for_end == NEVER ? 0 : MSG_PEEK);
	vdb_send_fds(fd, &error, sizeof(error), NULL, 0);
	close(fd);
	return NULL;
}

/* The broker does not wait for what it does not want to hear. */
START_TEST(too_many_connections)
{
	wait_for_end = (enum wait)_i;
	ck_assert_int_eq(pthread_create(&thread, NULL, refuse, NULL), 0);
	errno = 0;
	ck_assert_ptr_null(vdb_client_connect(path));
	ck_assert_int_eq(errno, EDQUOT);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(last_word_ends_it)
{
	struct vdb_client *client;
	struct answer *a;

	add_hello();
	a = add(VDP_ERROR, 0, sizeof(struct vdp_error));
	a->error.code = VDP_ERROR_LIMIT;
	strcpy(a->error.text, "because");
	client = connected();
	ck_assert_fails(vdb_client_renew(client, 7, 0), EDQUOT);
	ck_assert_str_eq(vdb_client_error(client), "because");
	ck_assert_fails(vdb_client_renew(client, 7, 0), ENOTCONN);
	done(client);
}
END_TEST

START_TEST(version_that_was_not_offered)
{
	add(VDP_HELLO | VDP_ANSWER, 1, sizeof(struct vdp_hello_answer))->hello.version = 2;
	errno = 0;
	ck_assert_ptr_null(client_of_prepared());
	ck_assert_int_eq(errno, EPROTO);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(nobody_there)
{
	close(listening);
	ck_assert_ptr_null(vdb_client_connect(path));
	ck_assert_int_eq(errno, ECONNREFUSED);
	ck_assert_ptr_null(vdb_client_connect("/nowhere/at/all"));
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* After it nothing is believed any more. */
static void check_poisoned(struct vdb_client *client)
{
	struct vdb_event event;

	ck_assert_fails(vdb_client_release(client, 1), ENOTCONN);
	ck_assert_fails(vdb_client_next(client, &event), ENOTCONN);
}

START_TEST(wrong_answers_end_it)
{
	struct vdb_lease lease = { .id = 99 };
	struct vdb_client *client;
	struct answer *a;
	int before;

	add_hello();
	switch (_i) {
	case 0: /* of another type */
		add(VDP_RELEASE | VDP_ANSWER, 2, sizeof(struct vdp_plain));
		break;
	case 1: /* of another size */
		add(VDP_ACQUIRE | VDP_ANSWER, 2, sizeof(struct vdp_acquire_answer) - 1)->nr_fds = 2;
		break;
	case 2: /* without fds */
		add(VDP_ACQUIRE | VDP_ANSWER, 2, sizeof(struct vdp_acquire_answer));
		break;
	case 3: /* with more of them */
		add(VDP_ACQUIRE | VDP_ANSWER, 2, sizeof(struct vdp_acquire_answer))->nr_fds = 4;
		break;
	case 4: /* with some that are no DMABUF */
		add(VDP_ACQUIRE | VDP_ANSWER, 2, sizeof(struct vdp_acquire_answer))->nr_fds = 2;
		break;
	case 5: /* shorter than any */
		add(VDP_ACQUIRE | VDP_ANSWER, 2, sizeof(struct vdp_header) - 1)->nr_fds = 1;
		break;
	case 6: /* text without an end */
		a = add(VDP_ERROR, 2, sizeof(struct vdp_error));
		memset(a->error.text, 'x', sizeof(a->error.text));
		break;
	case 7: /* an event that makes no sense */
		a = add(VDP_EVENT, 0, sizeof(struct vdp_event));
		a->event.state = 9;
		a = add(VDP_RENEW | VDP_ANSWER, 2, sizeof(struct vdp_renew_answer));
		break;
	case 8: /* reserved fields that are in use */
		a = add(VDP_ERROR, 2, sizeof(struct vdp_error));
		a->header.reserved = 1;
		break;
	case 9:
		a = add(VDP_ERROR, 2, sizeof(struct vdp_error));
		a->error.reserved = 1;
		break;
	case 10: /* nothing but fds */
		add(VDP_ACQUIRE | VDP_ANSWER, 2, 0)->nr_fds = 2;
		break;
	}
	client = connected();
	before = next_fd();
	ck_assert_fails(vdb_client_acquire(client, "a/b", 0, 0, 0, &lease), EPROTO);
	ck_assert_int_ne(vdb_client_error(client)[0], 0);
	ck_assert_uint_eq(lease.id, 99);
	check_poisoned(client);
	ck_assert_int_eq(next_fd(), before);
	done(client);
}
END_TEST

START_TEST(errors_have_names_and_words)
{
	static const struct {
		uint32_t code;
		int error;
	} cases[] = {
		{ VDP_ERROR_NO_SLICE, ENOENT }, { VDP_ERROR_BUSY, EBUSY },
		{ VDP_ERROR_INVALID, EINVAL }, { VDP_ERROR_LIMIT, EDQUOT },
		{ VDP_ERROR_DEVICE, ENODEV }, { VDP_ERROR_INTERNAL, EIO },
	};
	struct vdb_client *client;
	struct vdb_lease lease;
	struct answer *a;

	add_hello();
	a = add(VDP_ERROR, 2, sizeof(struct vdp_error));
	a->error.code = cases[_i].code;
	strcpy(a->error.text, "because");
	client = connected();
	ck_assert_fails(vdb_client_acquire(client, "a/b", 0, 0, 0, &lease), cases[_i].error);
	ck_assert_str_eq(vdb_client_error(client), "because");
	done(client);
}
END_TEST

/* As after a restart of the broker, whose first answer had come through. */
START_TEST(answer_to_an_old_request_is_dropped)
{
	struct vdb_client *client;
	struct answer *a;
	int before;

	add_hello();
	a = add(VDP_ACQUIRE | VDP_ANSWER, 1, sizeof(struct vdp_acquire_answer));
	a->nr_fds = 2;
	a = add(VDP_RELEASE | VDP_ANSWER, 2, sizeof(struct vdp_plain));
	client = connected();
	before = next_fd();
	ck_assert_works(vdb_client_release(client, 7));
	ck_assert_int_eq(next_fd(), before);
	done(client);
}
END_TEST

/* Allows this process so many fds more than it has; -1: as many as before. */
static void room_for(int fds)
{
	static struct rlimit before;
	struct rlimit limit;

	if (!before.rlim_max)
		ck_assert_works(getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	if (fds >= 0)
		limit.rlim_cur = next_fd() + fds;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
}

/* The lease is given back, unless it has ended already, and the connection kept. */
START_TEST(fds_that_cannot_be_opened)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	struct answer *a;
	int before;

	add_hello();
	a = add(VDP_ACQUIRE | VDP_ANSWER, 2, sizeof(struct vdp_acquire_answer));
	a->nr_fds = 2;
	a->acquire.lease = 5;
	if (_i < 2)
		add(VDP_RELEASE | VDP_ANSWER, 3, sizeof(struct vdp_plain));
	else
		add(VDP_ERROR, 3, sizeof(struct vdp_error))->error.code = VDP_ERROR_NO_LEASE;
	add(VDP_RENEW | VDP_ANSWER, 4, sizeof(struct vdp_renew_answer));
	client = connected();
	before = next_fd();
	room_for(_i % 2);
	ck_assert_fails(vdb_client_acquire(client, "a/b", 0, 0, 0, &lease), EMFILE);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "no more open files"));
	room_for(-1);
	ck_assert_int_eq(next_fd(), before);
	ck_assert_uint_eq(released.lease, 5);
	ck_assert_works(vdb_client_renew(client, 7, 0));
	done(client);
}
END_TEST

START_TEST(slice_that_cannot_be_given_back)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	add_hello();
	add(VDP_ACQUIRE | VDP_ANSWER, 2, sizeof(struct vdp_acquire_answer))->nr_fds = 2;
	add(VDP_RELEASE | VDP_ANSWER, 3, sizeof(struct vdp_header) - 1);
	client = connected();
	room_for(0);
	ck_assert_fails(vdb_client_acquire(client, "a/b", 0, 0, 0, &lease), EPROTO);
	check_poisoned(client);
	room_for(-1);
	done(client);
}
END_TEST

/* Nothing is to be given back if they were none of a slice's. */
START_TEST(fds_that_do_not_belong_and_cannot_be_opened)
{
	struct vdb_client *client;

	add_hello();
	add(VDP_RELEASE | VDP_ANSWER, 2, sizeof(struct vdp_plain))->nr_fds = 2;
	client = connected();
	room_for(0);
	ck_assert_fails(vdb_client_release(client, 7), EPROTO);
	check_poisoned(client);
	room_for(-1);
	done(client);
}
END_TEST

START_TEST(long_names_are_refused_here)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char name[VDP_NAME + 1];

	memset(name, 'x', sizeof(name));
	name[VDP_NAME] = '\0';
	add_hello();
	client = connected();
	ck_assert_fails(vdb_client_acquire(client, name, 0, 0, 0, &lease), ENOENT);
	done(client);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_group(s, "hello");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, other_version);
	tcase_add_loop_test(tc, too_many_connections, 0, 3);
	tcase_add_test(tc, last_word_ends_it);
	tcase_add_test(tc, version_that_was_not_offered);
	tcase_add_test(tc, nobody_there);

	tc = add_group(s, "answers");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, wrong_answers_end_it, 0, 11);
	tcase_add_loop_test(tc, errors_have_names_and_words, 0, 6);
	tcase_add_test(tc, answer_to_an_old_request_is_dropped);
	tcase_add_loop_test(tc, fds_that_cannot_be_opened, 0, 3);
	tcase_add_test(tc, slice_that_cannot_be_given_back);
	tcase_add_test(tc, fds_that_do_not_belong_and_cannot_be_opened);
	tcase_add_test(tc, long_names_are_refused_here);
	return s;
}
