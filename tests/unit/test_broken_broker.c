// SPDX-License-Identifier: MIT
/*
 * The library's client with a faulty broker: it hangs, answers late, twice, out of
 * order or in parts, answers about unknown leases, or sends too many fds.  The broker
 * is a child of the test, with a script for each test.  The guest tests run the client
 * with the real broker.
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf-protocol.h>

#include "common/fds.h"
#include "common/message.h"
#include "internal.h"
#include "suite.h"

#define SHORT_MS	100	/* for what never comes */
#define LONG_MS		60000	/* room for a message */
#define PAGE		4096

static char path[64];
static int listening, file;
static pid_t broker;
static struct vdb_client *client;

/* ---- functions in place of the C library's ---- */

/* A file of the test stands for a DMABUF. */
int fstatfs(int fd, struct statfs *fs)
{
	(void)fd;
	memset(fs, 0, sizeof(*fs));
	fs->f_type = 0x444d4142;
	return 0;
}

/* They can wait until the broker has closed the connection. */
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

/* The broker is faster than the client. */
static bool always_a_message;

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	wait_if(BEFORE_RECEIVING, fd);
	if (always_a_message)
		ck_assert_int_eq(poll(&p, 1, -1), 1);
	return syscall(SYS_recvmsg, fd, message, flags);
}

/* ---- the broker ---- */

typedef void script(int fd);

/* In the broker: ends it, so that the test fails. */
#define must(what) do {							\
	if (!(what)) {							\
		fprintf(stderr, "line %d: the broker misses: %s\n", __LINE__, #what); \
		_exit(1);						\
	}								\
} while (0)

static void say(int fd, const void *message, size_t size, unsigned int nr_fds)
{
	int fds[] = { file, file, file, file };

	fds_send(fd, message, size, fds, nr_fds, 0);
}

static union message_to_broker ask(int fd, uint32_t type)
{
	union message_to_broker request;

	must(recv(fd, request.bytes, sizeof(request), 0) > 0);
	must(request.header.type == type);
	return request;
}

static void expect_release(int fd, uint64_t lease)
{
	must(ask(fd, VDP_RELEASE).lease.lease == lease);
}

static void say_waiting(int fd, uint64_t serial, uint64_t lease)
{
	struct vdp_acquire_answer m = {
		.header = { .type = VDP_ACQUIRE | VDP_ANSWER, .serial = serial }, .lease = lease,
	};

	say(fd, &m, sizeof(m), 0);
}

static void say_grant(int fd, uint64_t serial, uint64_t lease)
{
	struct vdp_grant m = {
		.header = { .type = VDP_GRANT, .serial = serial }, .lease = lease, .length = PAGE,
	};

	say(fd, &m, sizeof(m), 2);
}

/* @nr: 3 fds, or 4 with one for an interrupt. */
static void say_memory(int fd, const struct vdp_grant *grant, size_t size, bool sealed, unsigned int nr)
{
	int fds[] = { file, file, memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING), file };

	must(!ftruncate(fds[2], size));
	if (sealed)
		must(!fcntl(fds[2], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	fds_send(fd, grant, sizeof(*grant), fds, nr, 0);
	close(fds[2]);
}

static void say_with_memory(int fd, const struct vdp_grant *grant, size_t size, bool sealed)
{
	say_memory(fd, grant, size, sealed, grant->flags & VDP_INTERRUPT ? 4 : 3);
}

static void say_state(int fd, uint64_t serial, uint64_t lease, uint32_t state)
{
	struct vdp_state m = {
		.header = { .type = VDP_STATE, .serial = serial }, .lease = lease, .state = state,
	};

	say(fd, &m, sizeof(m), 0);
}

static void say_end(int fd, uint64_t serial, uint64_t lease, uint64_t answers, uint32_t end)
{
	struct vdp_end m = {
		.header = { .type = VDP_END, .serial = serial }, .lease = lease, .answers = answers, .end = end,
	};

	say(fd, &m, sizeof(m), 0);
}

static void say_renewed(int fd, uint64_t serial, uint32_t seconds)
{
	struct vdp_renew_answer m = {
		.header = { .type = VDP_RENEW | VDP_ANSWER, .serial = serial }, .seconds = seconds,
	};

	say(fd, &m, sizeof(m), 0);
}

static void say_error(int fd, uint64_t serial, uint32_t code)
{
	struct vdp_error m = {
		.header = { .type = VDP_ERROR, .serial = serial }, .code = code, .text = "because",
	};

	say(fd, &m, sizeof(m), 0);
}

static void say_slice(int fd, uint64_t serial, uint32_t item, const char *name)
{
	struct vdp_slice_item m = {
		.header = { .type = VDP_LIST_SLICES | VDP_ITEM, .serial = serial, .item = item },
	};

	strcpy(m.name, name);
	say(fd, &m, sizeof(m), 0);
}

static void say_plain(int fd, uint64_t serial, uint32_t type)
{
	struct vdp_plain m = { .header = { .type = type, .serial = serial } };

	say(fd, &m, sizeof(m), 0);
}

static void say_news(int fd, uint64_t serial, uint64_t lease, uint32_t type, uint64_t missed)
{
	struct vdp_news m = {
		.header = { .type = VDP_NEWS, .serial = serial }, .lease = lease, .type = type, .missed = missed,
	};

	say(fd, &m, sizeof(m), 0);
}

static void answer_hello(int fd, uint32_t version)
{
	struct vdp_hello_answer m = {
		.header = { .type = VDP_HELLO | VDP_ANSWER, .serial = ask(fd, VDP_HELLO).header.serial },
		.version = version,
	};

	say(fd, &m, sizeof(m), 0);
}

/*
 * The request of connection_works(). When that returns, the client has handled all
 * messages before the answer.
 */
static uint64_t ask_renew(int fd)
{
	return ask(fd, VDP_RENEW).header.serial;
}

static void answer_renew(int fd)
{
	say_renewed(fd, ask_renew(fd), 7);
}

static void read_to_end(int fd)
{
	char bytes[VDP_MAX_MESSAGE];

	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

/* A broker with this script, after a hello if that is @greeted. */
static void start(script *fn, bool greeted)
{
	broker = fork();
	ck_assert_works(broker);
	if (!broker) {
		int fd = accept(listening, NULL, NULL);

		if (greeted)
			answer_hello(fd, VDP_VERSION);
		if (fn)
			fn(fd);
		read_to_end(fd);
		_exit(0);
	}
}

/* ---- the test ---- */

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
	ck_assert_works(ftruncate(file, PAGE));
	client = NULL;
	broker = 0;
}

/* The broker has received everything. */
static void done(void)
{
	int status;

	vdb_client_close(client);
	client = NULL;
	if (!broker)
		return;
	ck_assert_int_eq(waitpid(broker, &status, 0), broker);
	ck_assert_int_eq(status, 0);
	broker = 0;
}

static void teardown(void)
{
	if (broker) {
		kill(broker, SIGKILL);
		waitpid(broker, NULL, 0);
	}
	unlink(path);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void connect_to(script *fn)
{
	start(fn, true);
	client = vdb_client_connect(path, LONG_MS, NULL);
	ck_assert_msg(client, "connect: %s", strerrorname_np(errno));
}

/* Returns the reason as text. */
static const char *connect_fails(int error)
{
	static char text[VDB_ERROR_SIZE];
	int fds = count_fds();

	memset(text, 0, sizeof(text));
	errno = 0;
	ck_assert_ptr_null(vdb_client_connect(path, broker ? LONG_MS : SHORT_MS, text));
	ck_assert_str_eq(strerrorname_np(errno), strerrorname_np(error));
	ck_assert_int_eq(count_fds(), fds);
	ck_assert_str_ne(text, "");
	return text;
}

static int acquire(uint32_t wait_ms, struct vdb_lease *lease)
{
	return vdb_client_acquire(client, "a/b", 0, 0, 0, wait_ms, lease);
}

static uint64_t acquire_start(void)
{
	uint64_t request = 0;

	ck_assert_works(vdb_client_acquire_start(client, "a/b", 0, 0, 0, 1000, &request));
	return request;
}

/* The connection continues, and the client has handled all earlier messages. */
static void connection_works(void)
{
	vdb_client_set_timeout(client, LONG_MS);
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
}

static void nothing_to_report(void)
{
	struct vdb_event event;

	ck_assert_int_eq(vdb_client_next(client, &event), 0);
}

static struct vdb_event next_event(void)
{
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };
	struct vdb_event event;
	int ret;

	while (!(ret = vdb_client_next(client, &event)))
		ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
	ck_assert_int_eq(ret, 1);
	return event;
}

/* The connection has ended: every call fails. */
static void check_ended(void)
{
	struct vdb_event event;

	ck_assert_fails(vdb_client_release(client, 1), ENOTCONN);
	ck_assert_fails(vdb_client_next(client, &event), ENOTCONN);
	ck_assert_str_ne(vdb_client_error(client), "");
}

/* ---- hello ---- */

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

/* ---- wrong messages ---- */

static int variant;

static void wrong_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;
	struct vdp_grant grant = {
		.header = { .type = VDP_GRANT, .serial = serial }, .lease = 1, .length = PAGE,
	};
	struct vdp_error error = { .header = { .type = VDP_ERROR, .serial = serial }, .code = 5 };
	struct vdp_state state = { .header = { .type = VDP_STATE, .serial = serial }, .lease = 1 };
	char longer[VDP_MAX_MESSAGE + 1] = { 0 };

	switch (variant) {
	case 0: /* shorter than any */
		say(fd, &grant, sizeof(grant.header) - 1, 2);
		break;
	case 1: /* half of it */
		say(fd, &grant, offsetof(struct vdp_grant, memory) - 1, 2);
		break;
	case 2: /* without fds */
		say(fd, &grant, sizeof(grant), 0);
		break;
	case 3: /* with one */
		say(fd, &grant, sizeof(grant), 1);
		break;
	case 4: /* with too many */
		say(fd, &grant, sizeof(grant), 4);
		break;
	case 5: /* nothing but fds */
		say(fd, &grant, 0, 2);
		break;
	case 6: /* it is not as long as it claims */
		grant.length = 2 * PAGE;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 7: /* nor is it read-only */
		grant.flags = VDP_READ_ONLY;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 8: /* flags of a later version */
		grant.flags = 1u << 31;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 9: /* text without an end */
		memset(grant.bdf, '0', sizeof(grant.bdf));
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 10:
		memset(error.text, 'x', sizeof(error.text));
		say(fd, &error, sizeof(error), 0);
		break;
	case 11: /* a header that is in use */
		error.header.item = 1;
		say(fd, &error, sizeof(error), 0);
		break;
	case 12: /* fds with something else */
		say(fd, &error, sizeof(error), 2);
		break;
	case 13: /* a state that does not exist */
		state.state = 2;
		say(fd, &state, sizeof(state), 0);
		break;
	case 14: /* a message that does not exist */
		say_plain(fd, serial, 0x303);
		break;
	case 15: /* a lease without a number */
		grant.lease = 0;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 16: /* a field that is not known */
		memcpy(longer, &grant, sizeof(grant));
		longer[VDP_MAX_MESSAGE - 1] = 1;
		say(fd, longer, VDP_MAX_MESSAGE, 2);
		break;
	case 17: /* longer than any */
		memcpy(longer, &grant, sizeof(grant));
		say(fd, longer, sizeof(longer), 2);
		break;
	case 18: /* an error of the connection */
		say_error(fd, 0, VDP_ERROR_MALFORMED);
		break;
	case 19: /* memory without a fd */
		grant.memory = PAGE;
		grant.iova = PAGE;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 20: /* a fd without memory */
		say_with_memory(fd, &grant, PAGE, true);
		break;
	case 21: /* memory of another size */
		grant.memory = 2 * PAGE;
		grant.iova = PAGE;
		say_with_memory(fd, &grant, PAGE, true);
		break;
	case 22: /* memory that can shrink */
		grant.memory = PAGE;
		grant.iova = PAGE;
		say_with_memory(fd, &grant, PAGE, false);
		break;
	case 23: /* an address inside a page */
		grant.memory = PAGE;
		grant.iova = PAGE + 8;
		say_with_memory(fd, &grant, PAGE, true);
		break;
	case 24: /* an interrupt without an fd */
		grant.memory = PAGE;
		grant.iova = PAGE;
		grant.flags = VDP_INTERRUPT;
		say_memory(fd, &grant, PAGE, true, 3);
		break;
	case 25: /* an interrupt without memory */
		grant.flags = VDP_INTERRUPT;
		say(fd, &grant, sizeof(grant), 3);
		break;
	}
}

START_TEST(wrong_messages_end_it)
{
	struct vdb_lease lease = { .id = 99 };
	int fds;

	variant = _i;
	connect_to(wrong_script);
	fds = count_fds();
	ck_assert_fails(acquire(0, &lease), EPROTO);
	ck_assert_str_ne(vdb_client_error(client), "");
	ck_assert_uint_eq(lease.id, 99);
	check_ended();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void longer_script(int fd)
{
	struct {
		struct vdp_grant grant;
		uint64_t later;
	} m = {
		.grant = {
			.header = { .type = VDP_GRANT, .serial = ask(fd, VDP_ACQUIRE).header.serial },
			.lease = 3, .length = PAGE,
		},
	};

	say(fd, &m, sizeof(m), 2);
	answer_renew(fd);
}

static void memory_script(int fd)
{
	struct vdp_grant grant = {
		.header = { .type = VDP_GRANT, .serial = ask(fd, VDP_ACQUIRE).header.serial },
		.lease = 3, .length = PAGE, .memory = 2 * PAGE, .iova = 16 * PAGE,
		.flags = VDP_INTERRUPT,
	};

	say_with_memory(fd, &grant, 2 * PAGE, true);
	answer_renew(fd);
}

/*
 * A program that was compiled before struct vdb_lease had memory, or the interrupt, gets none, and
 * leaks none.
 */
START_TEST(slice_with_memory_and_interrupt)
{
	const size_t sizes[] = {
		sizeof(struct vdb_lease), offsetof(struct vdb_lease, interrupt), offsetof(struct vdb_lease, memory),
	};
	struct vdb_lease lease = { .memory = (void *)&lease, .interrupt = -2 };
	size_t size = sizes[_i];
	int fds;

	connect_to(memory_script);
	fds = count_fds();
	ck_assert_works(vdb_client_acquire_sized(client, "nic/bell", 0, 0, 0, 0, &lease, size));
	ck_assert_uint_eq(lease.id, 3);
	connection_works();
	if (_i) {
		ck_assert_int_eq(lease.interrupt, -2);
	} else {
		ck_assert_int_ge(lease.interrupt, 0);
		close(lease.interrupt);
	}
	if (_i == 2) {
		ck_assert_ptr_eq(lease.memory, &lease);
	} else {
		ck_assert_int_eq(vdb_slice_kind(lease.memory), VDB_KIND_MEMORY);
		ck_assert_uint_eq(vdb_slice_length(lease.memory), 2 * PAGE);
		ck_assert_uint_eq(vdb_slice_iova(lease.memory), 16 * PAGE);
		vdb_slice_free(lease.memory);
	}
	vdb_slice_free(lease.slice);
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

/* Fields of a later broker that have no meaning here. */
START_TEST(longer_messages_are_accepted)
{
	struct vdb_lease lease;

	connect_to(longer_script);
	ck_assert_works(acquire(0, &lease));
	ck_assert_uint_eq(lease.id, 3);
	connection_works();
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

static void other_answer_script(int fd)
{
	say_plain(fd, ask(fd, VDP_RENEW).header.serial, VDP_LIST_SLICES | VDP_ANSWER);
}

START_TEST(answer_of_another_type)
{
	connect_to(other_answer_script);
	ck_assert_fails(vdb_client_renew(client, 1, 0), EPROTO);
	check_ended();
	done();
}
END_TEST

static const struct {
	uint32_t code;
	int error;
} errors[] = {
	{ VDP_ERROR_UNKNOWN, ENOTSUP }, { VDP_ERROR_NO_SLICE, ENOENT }, { VDP_ERROR_BUSY, EBUSY },
	{ VDP_ERROR_INVALID, EINVAL }, { VDP_ERROR_LIMIT, EDQUOT }, { VDP_ERROR_FORBIDDEN, EPERM },
	{ VDP_ERROR_DEVICE, ENODEV }, { VDP_ERROR_MEMORY, EIO }, { VDP_ERROR_CONFIGURATION, EIO },
	{ 999, EIO },
};

static void error_script(int fd)
{
	say_error(fd, ask(fd, VDP_ACQUIRE).header.serial, errors[variant].code);
	say_error(fd, ask(fd, VDP_REVOKE).header.serial, errors[variant].code);
	answer_renew(fd);
}

START_TEST(errors_have_names_and_words)
{
	struct vdb_lease lease;

	variant = _i;
	connect_to(error_script);
	ck_assert_fails(acquire(0, &lease), errors[_i].error);
	ck_assert_str_eq(vdb_client_error(client), "because");
	ck_assert_fails(vdb_client_revoke(client, 5), errors[_i].error);
	ck_assert_str_eq(vdb_client_error(client), "because");
	connection_works();
	done();
}
END_TEST

static const struct {
	uint32_t end;
	int error;
} ends[] = {
	{ VDP_END_DEVICE, ENODEV }, { VDP_END_REVOKED, ECANCELED }, { VDP_END_UNSENT, ETOOMANYREFS },
	{ VDP_END_EXPORT, EIO }, { VDP_END_BUSY, EBUSY }, { VDP_END_TIMEOUT, ETIMEDOUT },
	{ VDP_END_CLIENT, EAGAIN }, { 999, EIO },
};

static void end_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	if (variant % 2)
		say_waiting(fd, serial, 8);
	say_end(fd, serial, 8, 0, ends[variant / 2].end);
	answer_renew(fd);
}

START_TEST(ends_of_requests_have_names)
{
	struct vdb_lease lease;

	variant = _i;
	connect_to(end_script);
	ck_assert_fails(acquire(1000, &lease), ends[_i / 2].error);
	ck_assert_str_ne(vdb_client_error(client), "");
	nothing_to_report();
	connection_works();
	done();
}
END_TEST

START_TEST(long_names_are_refused_here)
{
	struct vdb_lease lease;
	char name[VDP_NAME + 1];

	memset(name, 'x', sizeof(name));
	name[VDP_NAME] = '\0';
	connect_to(NULL);
	ck_assert_fails(vdb_client_acquire(client, name, 0, 0, 0, 0, &lease), ENOENT);
	ck_assert_str_ne(vdb_client_error(client), "");
	done();
}
END_TEST

/* ---- late ---- */

static bool ignore_slice(const struct vdb_slice_info *info, void *data)
{
	(void)info;
	++*(int *)data;
	return true;
}

static void late_script(int fd)
{
	uint64_t renew = ask(fd, VDP_RENEW).header.serial;
	uint64_t release = ask(fd, VDP_RELEASE).header.serial;
	uint64_t revoke = ask(fd, VDP_REVOKE).header.serial;
	uint64_t slices = ask(fd, VDP_LIST_SLICES).header.serial;
	uint64_t status = ask(fd, VDP_STATUS).header.serial;
	struct vdp_status_answer m = { .header = { .type = VDP_STATUS | VDP_ANSWER, .serial = status } };
	union message_to_broker last = ask(fd, VDP_RENEW);

	/* Backwards, and each twice. */
	for (int i = 0; i < 2; i++) {
		say(fd, &m, sizeof(m), 0);
		say_slice(fd, slices, 0, "a/b");
		say_plain(fd, slices, VDP_LIST_SLICES | VDP_ANSWER);
		say_end(fd, 0, 99, revoke, VDP_END_REVOKED);
		say_error(fd, release, VDP_ERROR_NO_LEASE);
		say_renewed(fd, renew, 3);
	}
	say_renewed(fd, last.header.serial, 7);
}

/* No call lasts longer than its time limit, and no late answer is treated as another one. */
START_TEST(requests_that_are_answered_late)
{
	struct vdb_status status;
	int slices = 0, fds;

	connect_to(late_script);
	fds = count_fds();
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_str_ne(vdb_client_error(client), "");
	ck_assert_fails(vdb_client_release(client, 1), ETIMEDOUT);
	ck_assert_fails(vdb_client_revoke(client, 99), ETIMEDOUT);
	ck_assert_fails(vdb_client_slices(client, ignore_slice, &slices), ETIMEDOUT);
	vdb_client_set_timeout(client, 0);
	ck_assert_fails(vdb_client_status(client, &status), ETIMEDOUT);
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(slices, 0);
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void late_grant_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	/* The client has given up by then. */
	uint64_t renew = ask_renew(fd);

	if (variant)
		say_waiting(fd, serial, 5);
	say_grant(fd, serial, 5);
	say_renewed(fd, renew, 7);
	expect_release(fd, 5);
	/* It is not released twice either. */
	renew = ask_renew(fd);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_end(fd, serial, 5, 0, VDP_END_RELEASED);
	say_renewed(fd, renew, 7);
	answer_renew(fd);
}

START_TEST(slice_that_is_granted_late)
{
	struct vdb_lease lease = { .id = 99 };
	int fds;

	variant = _i;
	connect_to(late_grant_script);
	fds = count_fds();
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(acquire(SHORT_MS, &lease), ETIMEDOUT);
	ck_assert_uint_eq(lease.id, 99);
	for (int i = 0; i < 3; i++)
		connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void waits_too_long_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	uint64_t renew;

	say_waiting(fd, serial, 5);
	expect_release(fd, 5);
	renew = ask_renew(fd);
	/* It crosses the release. */
	say_grant(fd, serial, 5);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_end(fd, serial, 5, 0, VDP_END_RELEASED);
	say_renewed(fd, renew, 7);
}

/* The broker does not notice that the time to wait is over. The client withdraws the request. */
START_TEST(slice_that_is_waited_for_too_long)
{
	struct vdb_lease lease;
	int fds;

	connect_to(waits_too_long_script);
	fds = count_fds();
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(acquire(SHORT_MS, &lease), ETIMEDOUT);
	connection_works();
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void late_end_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, release;

	say_grant(fd, serial, 5);
	release = ask(fd, VDP_RELEASE).header.serial;
	answer_renew(fd);
	say_end(fd, serial, 5, release, VDP_END_RELEASED);
}

START_TEST(release_that_is_answered_late)
{
	struct vdb_lease lease;
	struct vdb_event event;

	connect_to(late_end_script);
	ck_assert_works(acquire(0, &lease));
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_release(client, lease.id), ETIMEDOUT);
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_STATE);
	ck_assert_uint_eq(event.lease, 5);
	ck_assert_int_eq(event.state, VDB_STATE_REVOKED);
	ck_assert_int_eq(event.end, VDB_END_RELEASED);
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

static void on_alarm(int number)
{
	(void)number;
}

/* Continuous signals do not make a call last longer. */
START_TEST(signals_do_not_prolong)
{
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	struct sigaction action = { .sa_handler = on_alarm };

	connect_to(NULL);
	ck_assert_works(sigaction(SIGALRM, &action, NULL));
	ck_assert_works(setitimer(ITIMER_REAL, &often, NULL));
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_ptr_null(vdb_client_connect(path, SHORT_MS, NULL));
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_works(setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL));
	done();
}
END_TEST

static void flood_script(int fd)
{
	struct vdp_state m = { .header = { .type = VDP_STATE, .serial = 77 }, .lease = 5 };

	for (uint32_t i = 0; ; i++) {
		m.state = i % 2;
		if (send(fd, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
			_exit(0);
	}
}

START_TEST(messages_without_end)
{
	struct vdb_event event;
	struct vdb_lease lease;

	connect_to(flood_script);
	always_a_message = true;
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_fails(acquire(0, &lease), ETIMEDOUT);
	ck_assert_int_eq(vdb_client_next(client, &event), 0);
	done();
}
END_TEST

/* ---- twice, out of order, unknown ---- */

static void twice_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, renew;

	say_waiting(fd, serial, 5);
	say_waiting(fd, serial, 5);
	say_grant(fd, serial, 5);
	renew = ask_renew(fd);
	say_grant(fd, serial, 5);
	say_waiting(fd, serial, 5);
	say_state(fd, serial, 5, VDP_STATE_LIVE);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_end(fd, serial, 5, 0, VDP_END_EXPIRED);
	say_end(fd, serial, 5, 0, VDP_END_REVOKED);
	say_state(fd, serial, 5, VDP_STATE_LIVE);
	say_renewed(fd, renew, 7);
	renew = ask_renew(fd);
	say_end(fd, serial, 5, 0, VDP_END_REVOKED);
	say_renewed(fd, renew, 7);
}

START_TEST(what_comes_twice_is_dropped)
{
	struct vdb_event event;
	struct vdb_lease lease;
	int fds;

	connect_to(twice_script);
	fds = count_fds();
	ck_assert_works(acquire(1000, &lease));
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds + 2);
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.state, VDB_STATE_SUSPENDED);
	nothing_to_report();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.state, VDB_STATE_REVOKED);
	ck_assert_int_eq(event.end, VDB_END_EXPIRED);
	connection_works();
	nothing_to_report();
	vdb_slice_free(lease.slice);
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void out_of_order_script(int fd)
{
	uint64_t first = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t second = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t third = ask(fd, VDP_ACQUIRE).header.serial;

	uint64_t renew = ask_renew(fd);

	must(first < second && second < third);
	say_error(fd, third, VDP_ERROR_BUSY);
	say_grant(fd, second, 6);
	say_state(fd, second, 6, VDP_STATE_SUSPENDED);
	say_grant(fd, first, 5);
	say_renewed(fd, renew, 7);
}

/* Each request gets its own outcome, in any order. */
START_TEST(answers_out_of_order)
{
	uint64_t requests[3];
	struct vdb_event event;
	int fds;

	connect_to(out_of_order_script);
	fds = count_fds();
	for (int i = 0; i < 3; i++)
		requests[i] = acquire_start();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_GRANTED);
	ck_assert_uint_eq(event.request, requests[0]);
	ck_assert_uint_eq(event.lease, 5);
	vdb_slice_free(event.slice);
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_GRANTED);
	ck_assert_uint_eq(event.request, requests[1]);
	ck_assert_uint_eq(event.lease, 6);
	vdb_slice_free(event.slice);
	/* The caller knows the lease only from here on. */
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_STATE);
	ck_assert_uint_eq(event.lease, 6);
	ck_assert_int_eq(event.state, VDB_STATE_SUSPENDED);
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_REFUSED);
	ck_assert_uint_eq(event.request, requests[2]);
	ck_assert_int_eq(event.error, EBUSY);
	ck_assert_str_eq(vdb_client_error(client), "because");
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

#define NOT_ASKED	(1ULL << 40)	/* a serial that no request has had */

static void unknown_script(int fd)
{
	uint64_t renew = ask_renew(fd);

	switch (variant) {
	case 0:
		say_state(fd, NOT_ASKED, 9, VDP_STATE_LIVE);
		break;
	case 1:
		say_grant(fd, NOT_ASKED, 9);
		break;
	case 2:
		say_waiting(fd, NOT_ASKED, 9);
		break;
	}
	say_renewed(fd, renew, 7);
	expect_release(fd, 9);
	renew = ask_renew(fd);
	/* The same message again, before the broker has read the release. */
	say_state(fd, NOT_ASKED, 9, VDP_STATE_SUSPENDED);
	say_grant(fd, NOT_ASKED, 9);
	say_end(fd, NOT_ASKED, 9, 0, VDP_END_RELEASED);
	/* An end needs no release, known or not. */
	say_end(fd, 0, 10, 0, VDP_END_REVOKED);
	say_renewed(fd, renew, 7);
	/* Once forgotten, it is unknown again. */
	for (int i = 0; i < 2; i++) {
		renew = ask_renew(fd);
		say_state(fd, NOT_ASKED, 9, VDP_STATE_LIVE);
		say_renewed(fd, renew, 7);
		say_error(fd, ask(fd, VDP_RELEASE).header.serial, VDP_ERROR_NO_LEASE);
	}
	answer_renew(fd);
}

/* As after a restart of the broker, which does not know what the former process has sent. */
START_TEST(leases_that_are_not_known_are_released)
{
	int fds;

	variant = _i;
	connect_to(unknown_script);
	fds = count_fds();
	for (int i = 0; i < 5; i++)
		connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void second_lease_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, renew = ask_renew(fd);

	if (variant)
		say_waiting(fd, serial, 5);
	else
		say_error(fd, serial, VDP_ERROR_BUSY);
	say_grant(fd, serial, 6);
	say_renewed(fd, renew, 7);
	expect_release(fd, 6);
	if (variant)
		say_end(fd, serial, 5, 0, VDP_END_BUSY);
	answer_renew(fd);
}

/* A request has one lease, and one outcome. */
START_TEST(second_lease_of_a_request)
{
	struct vdb_event event;
	uint64_t request;
	int fds;

	variant = _i;
	connect_to(second_lease_script);
	fds = count_fds();
	request = acquire_start();
	connection_works();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_REFUSED);
	ck_assert_uint_eq(event.request, request);
	ck_assert_int_eq(event.error, EBUSY);
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void lost_grant_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	say_state(fd, serial, 5, VDP_STATE_LIVE);
	expect_release(fd, 5);
	serial = ask(fd, VDP_ACQUIRE).header.serial;
	say_state(fd, serial - 2, 5, VDP_STATE_LIVE);
	say_end(fd, serial - 2, 5, 0, VDP_END_RELEASED);
	say_grant(fd, serial, 6);
}

/* The broker was killed after it had saved the grant, and before it sent it. */
START_TEST(grant_that_was_lost)
{
	struct vdb_lease lease;

	connect_to(lost_grant_script);
	ck_assert_fails(acquire(0, &lease), EAGAIN);
	ck_assert_works(acquire(0, &lease));
	ck_assert_uint_eq(lease.id, 6);
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

static void lost_twice_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial, renew = ask_renew(fd);

	say_state(fd, serial, 5, VDP_STATE_LIVE);
	say_state(fd, serial, 5, VDP_STATE_SUSPENDED);
	say_renewed(fd, renew, 7);
	expect_release(fd, 5);
	answer_renew(fd);
}

/* The second one comes before the first is reported to the caller. */
START_TEST(grant_that_was_lost_is_refused_once)
{
	struct vdb_event event;

	connect_to(lost_twice_script);
	acquire_start();
	connection_works();
	connection_works();
	event = next_event();
	ck_assert_int_eq(event.type, VDB_EVENT_REFUSED);
	ck_assert_int_eq(event.error, EAGAIN);
	nothing_to_report();
	done();
}
END_TEST

/* ---- requests that are started, and cancelled ---- */

static void cancel_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t renew = ask_renew(fd);

	if (variant == 1)
		say_waiting(fd, serial, 5);
	if (variant == 2)
		say_grant(fd, serial, 5);
	if (variant == 3)
		say_error(fd, serial, VDP_ERROR_BUSY);
	say_renewed(fd, renew, 7);
	if (!variant) {
		renew = ask_renew(fd);
		say_grant(fd, serial, 5);
		say_renewed(fd, renew, 7);
	}
	if (variant != 3)
		expect_release(fd, 5);
	answer_renew(fd);
}

/* Before any answer; while they wait; after they are granted or refused. */
START_TEST(requests_can_be_cancelled)
{
	uint64_t request;
	int fds;

	variant = _i;
	connect_to(cancel_script);
	fds = count_fds();
	request = acquire_start();
	if (!variant)
		ck_assert_works(vdb_client_acquire_cancel(client, request));
	connection_works();
	if (variant)
		ck_assert_works(vdb_client_acquire_cancel(client, request));
	else
		connection_works();
	ck_assert_fails(vdb_client_acquire_cancel(client, request), ENOENT);
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void grant_script(int fd)
{
	say_grant(fd, ask(fd, VDP_ACQUIRE).header.serial, 5);
	answer_renew(fd);
}

START_TEST(what_is_not_fetched_is_closed)
{
	int fds = count_fds();

	connect_to(grant_script);
	acquire_start();
	connection_works();
	done();
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(what_was_fetched_is_not_cancelled)
{
	struct vdb_event event;
	uint64_t request;

	connect_to(grant_script);
	request = acquire_start();
	connection_works();
	event = next_event();
	ck_assert_fails(vdb_client_acquire_cancel(client, request), ENOENT);
	ck_assert_fails(vdb_client_acquire_cancel(client, 0), ENOENT);
	vdb_slice_free(event.slice);
	done();
}
END_TEST

static void deaf_script(int fd)
{
	sigset_t set;
	int number;

	/* It reads on request. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	say_state(fd, NOT_ASKED, 9, VDP_STATE_LIVE);
	must(!sigwait(&set, &number));
	for (;;) {
		union message_to_broker request;

		must(recv(fd, request.bytes, sizeof(request), 0) > 0);
		if (request.header.type != VDP_RELEASE)
			continue;
		must(request.lease.lease == 9);
		break;
	}
	answer_renew(fd);
}

/*
 * A broker that does not read: no call blocks, and outstanding releases are sent when
 * there is room.
 */
START_TEST(broker_that_does_not_read)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t request, last = 0;
	struct vdb_lease lease;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	connect_to(deaf_script);
	while (!vdb_client_acquire_start(client, "a/b", 0, 0, 0, 1000, &request)) {
		ck_assert_uint_gt(request, last);
		last = request;
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_gt(last, 10);
	vdb_client_set_timeout(client, SHORT_MS);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ETIMEDOUT);
	ck_assert_fails(acquire(0, &lease), ETIMEDOUT);
	/* The release of a lease that is not known has no room. */
	nothing_to_report();
	p.fd = vdb_client_fd(client);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	kill(broker, SIGUSR1);
	ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
	nothing_to_report();
	connection_works();
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	done();
}
END_TEST

/* ---- fds ---- */

/* Limits this process to this number of further fds; -1: restores the limit. */
static void room_for(int fds)
{
	static struct rlimit before;
	struct rlimit limit;
	int next = dup(file);

	close(next);
	if (!before.rlim_max)
		ck_assert_works(getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	if (fds >= 0)
		limit.rlim_cur = next + fds;
	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
}

static void no_room_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;
	uint64_t release;

	say_grant(fd, serial, 5);
	release = ask(fd, VDP_RELEASE).header.serial;
	if (variant < 2)
		say_end(fd, serial, 5, release, VDP_END_RELEASED);
	else
		say_error(fd, release, VDP_ERROR_NO_LEASE);
	answer_renew(fd);
}

/* The lease is released, unless it has ended already, and the connection continues. */
START_TEST(fds_that_cannot_be_opened)
{
	struct vdb_lease lease;
	int fds;

	variant = _i;
	connect_to(no_room_script);
	fds = count_fds();
	room_for(_i % 2);
	ck_assert_fails(acquire(0, &lease), EMFILE);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "no room for the open files"));
	room_for(-1);
	connection_works();
	nothing_to_report();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void wrong_fds_script(int fd)
{
	struct vdp_renew_answer m = {
		.header = { .type = VDP_RENEW | VDP_ANSWER, .serial = ask(fd, VDP_RENEW).header.serial },
	};

	say(fd, &m, sizeof(m), 2);
}

START_TEST(fds_that_do_not_belong_and_cannot_be_opened)
{
	connect_to(wrong_fds_script);
	room_for(0);
	ck_assert_fails(vdb_client_renew(client, 7, 0), EPROTO);
	check_ended();
	room_for(-1);
	done();
}
END_TEST

/* ---- lists ---- */

static void list_script(int fd)
{
	uint64_t serial = ask(fd, VDP_LIST_SLICES).header.serial;

	say_slice(fd, serial, 0, "old/0");
	say_slice(fd, serial, 1, "old/1");
	/* A late one of another list. */
	say_slice(fd, serial - 1, 2, "other/2");
	say_slice(fd, serial, 0, "new/0");
	say_slice(fd, serial, 1, "new/1");
	say_slice(fd, serial, 2, "new/2");
	say_plain(fd, serial, VDP_LIST_SLICES | VDP_ANSWER);
}

static bool check_new(const struct vdb_slice_info *info, void *data)
{
	char name[16];

	snprintf(name, sizeof(name), "new/%d", (*(int *)data)++);
	ck_assert_str_eq(info->name, name);
	return true;
}

/* The broker was restarted in the middle: nothing is listed twice. */
START_TEST(list_that_begins_again)
{
	int slices = 0;

	connect_to(list_script);
	ck_assert_works(vdb_client_slices(client, check_new, &slices));
	ck_assert_int_eq(slices, 3);
	done();
}
END_TEST

static bool stop_at_second(const struct vdb_slice_info *info, void *data)
{
	return check_new(info, data) && *(int *)data < 2;
}

START_TEST(list_can_be_stopped)
{
	int slices = 0;

	connect_to(list_script);
	ck_assert_int_eq(vdb_client_slices(client, stop_at_second, &slices), 1);
	ck_assert_int_eq(slices, 2);
	done();
}
END_TEST

/* ---- structs of programs that were compiled with another version ---- */

#define LATER	24	/* bytes that a later version has at the end */

static void sizes_script(int fd)
{
	struct vdp_status_answer status = {
		.header = { .type = VDP_STATUS | VDP_ANSWER }, .leases_per_client = 5, .problem = "too bad",
	};

	for (int i = 0; i < 2; i++) {
		say_grant(fd, ask(fd, VDP_ACQUIRE).header.serial, 5 + i);
		say_state(fd, 0, 5 + i, VDP_STATE_SUSPENDED);
		status.header.serial = ask(fd, VDP_STATUS).header.serial;
		say(fd, &status, sizeof(status), 0);
	}
}

/* 0 from the end of this version's struct to @size, and unchanged after that. */
static void check_rest(const void *filled, size_t known, size_t size, size_t room)
{
	const unsigned char *bytes = filled;

	for (size_t i = known; i < size; i++)
		ck_assert_uint_eq(bytes[i], 0);
	for (size_t i = size; i < room; i++)
		ck_assert_uint_eq(bytes[i], 0xaa);
}

START_TEST(structs_can_be_longer)
{
	struct { struct vdb_lease it; char later[LATER + 8]; } lease;
	struct { struct vdb_event it; char later[LATER + 8]; } event;
	struct { struct vdb_status it; char later[LATER + 8]; } status;

	connect_to(sizes_script);
	for (size_t more = 0; more <= LATER; more += LATER) {
		memset(&lease, 0xaa, sizeof(lease));
		memset(&event, 0xaa, sizeof(event));
		memset(&status, 0xaa, sizeof(status));
		ck_assert_works(vdb_client_acquire_sized(client, "a/b", 0, 0, 0, 0, &lease.it, sizeof(lease.it) + more));
		ck_assert_works(vdb_client_status_sized(client, &status.it, sizeof(status.it) + more));
		ck_assert_int_eq(vdb_client_next_sized(client, &event.it, sizeof(event.it) + more), 1);
		ck_assert_ptr_nonnull(lease.it.slice);
		ck_assert_uint_eq(event.it.lease, lease.it.id);
		ck_assert_uint_eq(status.it.leases_per_client, 5);
		ck_assert_str_eq(status.it.problem, "too bad");
		check_rest(&lease, sizeof(lease.it), sizeof(lease.it) + more, sizeof(lease));
		check_rest(&event, sizeof(event.it), sizeof(event.it) + more, sizeof(event));
		check_rest(&status, sizeof(status.it), sizeof(status.it) + more, sizeof(status));
		vdb_slice_free(lease.it.slice);
	}
	done();
}
END_TEST

/* No program has such structs, and a slice would be lost. So nothing is requested. */
START_TEST(structs_are_not_smaller_than_the_first)
{
	struct vdb_status status;
	struct vdb_event event;
	struct vdb_lease lease;

	connect_to(answer_renew);
	ck_assert_fails(vdb_client_acquire_sized(client, "a/b", 0, 0, 0, 0, &lease,
						 offsetof(struct vdb_lease, memory) - 1), EINVAL);
	ck_assert_str_ne(vdb_client_error(client), "");
	ck_assert_fails(vdb_client_next_sized(client, &event, sizeof(uint64_t)), EINVAL);
	ck_assert_fails(vdb_client_status_sized(client, &status, sizeof(uint64_t)), EINVAL);
	connection_works();
	done();
}
END_TEST

static void wrong_list_script(int fd)
{
	uint64_t serial = ask(fd, VDP_LIST_SLICES).header.serial;
	struct vdp_slice_item m = { .header = { .type = VDP_LIST_SLICES | VDP_ITEM, .serial = serial } };

	switch (variant) {
	case 0:
		say_slice(fd, serial, 1, "a/b");
		break;
	case 1:
		say_plain(fd, serial, VDP_LIST_LEASES | VDP_ANSWER);
		break;
	case 2:
		memset(m.name, 'x', sizeof(m.name));
		say(fd, &m, sizeof(m), 0);
		say_plain(fd, serial, VDP_LIST_SLICES | VDP_ANSWER);
		break;
	}
}

START_TEST(wrong_lists_end_it)
{
	int slices = 0;

	variant = _i;
	connect_to(wrong_list_script);
	ck_assert_fails(vdb_client_slices(client, ignore_slice, &slices), EPROTO);
	ck_assert_int_eq(slices, 0);
	check_ended();
	done();
}
END_TEST

/* ---- the end ---- */

static void die_script(int fd)
{
	say_grant(fd, ask(fd, VDP_ACQUIRE).header.serial, 5);
	ask(fd, VDP_RENEW);
	_exit(0);
}

START_TEST(broker_that_dies)
{
	struct vdb_event event;
	struct vdb_lease lease;

	connect_to(die_script);
	close(listening);
	ck_assert_works(acquire(0, &lease));
	ck_assert_fails(vdb_client_renew(client, lease.id, 0), ENOTCONN);
	ck_assert_fails(vdb_client_next(client, &event), ENOTCONN);
	ck_assert_fails(acquire(0, &lease), ENOTCONN);
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

/* ---- news ---- */

#define MANY	200

/* More than the library keeps, while the program does something else. */
static void tell_many(int fd)
{
	uint64_t serial = ask(fd, VDP_WATCH).header.serial;

	say_plain(fd, serial, VDP_WATCH | VDP_ANSWER);
	serial = ask_renew(fd);
	for (int i = 1; i <= MANY; i++)
		say_news(fd, 1, i, VDP_NEWS_GRANTED, 0);
	say_news(fd, 1, 0, VDP_NEWS_MISSED, 1000);
	say_renewed(fd, serial, 7);
	for (int i = 500; i < 502; i++) {
		serial = ask_renew(fd);
		say_news(fd, 1, i, VDP_NEWS_ENDED, 0);
		say_renewed(fd, serial, 7);
	}
}

START_TEST(news_are_counted_if_they_do_not_fit)
{
	struct vdb_news news;
	uint64_t nr = 0;

	connect_to(tell_many);
	ck_assert_works(vdb_client_watch(client));
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
	ck_assert_int_eq(vdb_client_news(client, &news), 1);
	ck_assert_uint_eq(news.lease, ++nr);
	/* There is room for one, but it comes after those that are missed. */
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
	while (vdb_client_news(client, &news) == 1 && news.type == VDB_NEWS_GRANTED)
		ck_assert_uint_eq(news.lease, ++nr);
	ck_assert_uint_ge(nr, 16);
	ck_assert_int_eq(news.type, VDB_NEWS_MISSED);
	ck_assert_uint_eq(news.missed, MANY - nr + 1000 + 1);
	ck_assert_int_eq(vdb_client_news(client, &news), 0);
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
	ck_assert_int_eq(vdb_client_news(client, &news), 1);
	ck_assert_int_eq(news.type, VDB_NEWS_ENDED);
	ck_assert_uint_eq(news.lease, 501);
	done();
}
END_TEST

static void refuse_to_watch(int fd)
{
	say_error(fd, ask(fd, VDP_WATCH).header.serial, VDP_ERROR_UNKNOWN);
}

START_TEST(broker_that_cannot_be_watched)
{
	struct vdb_news news;

	connect_to(refuse_to_watch);
	ck_assert_fails(vdb_client_watch(client), ENOTSUP);
	ck_assert_fails(vdb_client_news(client, &news), EINVAL);
	done();
}
END_TEST

static void tell_who_does_not_watch(int fd)
{
	uint64_t serial = ask_renew(fd);

	say_news(fd, serial, 1, VDP_NEWS_GRANTED, 0);
}

static void tell_without_an_end(int fd)
{
	struct vdp_news m = { .header = { .type = VDP_NEWS, .serial = 1 }, .type = VDP_NEWS_GRANTED };

	say_plain(fd, ask(fd, VDP_WATCH).header.serial, VDP_WATCH | VDP_ANSWER);
	ask_renew(fd);
	memset(m.reason, 'x', sizeof(m.reason));
	say(fd, &m, sizeof(m), 0);
}

START_TEST(wrong_news_end_it)
{
	connect_to(_i ? tell_without_an_end : tell_who_does_not_watch);
	if (_i)
		ck_assert_works(vdb_client_watch(client));
	ck_assert_fails(vdb_client_renew(client, 1, 0), EPROTO);
	ck_assert_fails(vdb_client_renew(client, 1, 0), ENOTCONN);
	done();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_group(s, "hello");

	/* This ends a client or broker that hangs. */
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, other_version);
	tcase_add_test(tc, version_that_was_not_offered);
	tcase_add_test(tc, half_a_hello);
	tcase_add_loop_test(tc, too_many_connections, 0, 3);
	tcase_add_test(tc, nobody_there);
	tcase_add_test(tc, hello_is_not_answered);
	tcase_add_test(tc, connections_are_not_accepted);

	tc = add_group(s, "wrong messages");
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, wrong_messages_end_it, 0, 26);
	tcase_add_loop_test(tc, slice_with_memory_and_interrupt, 0, 3);
	tcase_add_test(tc, longer_messages_are_accepted);
	tcase_add_test(tc, answer_of_another_type);
	tcase_add_loop_test(tc, errors_have_names_and_words, 0, sizeof(errors) / sizeof(errors[0]));
	tcase_add_loop_test(tc, ends_of_requests_have_names, 0, 2 * sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(tc, long_names_are_refused_here);

	tc = add_group(s, "late");
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, requests_that_are_answered_late);
	tcase_add_loop_test(tc, slice_that_is_granted_late, 0, 2);
	tcase_add_test(tc, slice_that_is_waited_for_too_long);
	tcase_add_test(tc, release_that_is_answered_late);
	tcase_add_test(tc, signals_do_not_prolong);
	tcase_add_test(tc, messages_without_end);

	tc = add_group(s, "leases");
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_comes_twice_is_dropped);
	tcase_add_test(tc, answers_out_of_order);
	tcase_add_loop_test(tc, leases_that_are_not_known_are_released, 0, 3);
	tcase_add_loop_test(tc, second_lease_of_a_request, 0, 2);
	tcase_add_test(tc, grant_that_was_lost);
	tcase_add_test(tc, grant_that_was_lost_is_refused_once);
	tcase_add_loop_test(tc, requests_can_be_cancelled, 0, 4);
	tcase_add_test(tc, what_is_not_fetched_is_closed);
	tcase_add_test(tc, what_was_fetched_is_not_cancelled);
	tcase_add_test(tc, broker_that_does_not_read);
	tcase_add_loop_test(tc, fds_that_cannot_be_opened, 0, 3);
	tcase_add_test(tc, fds_that_do_not_belong_and_cannot_be_opened);

	tc = add_group(s, "lists");
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, list_that_begins_again);
	tcase_add_test(tc, list_can_be_stopped);
	tcase_add_test(tc, structs_can_be_longer);
	tcase_add_test(tc, structs_are_not_smaller_than_the_first);
	tcase_add_loop_test(tc, wrong_lists_end_it, 0, 3);
	tcase_add_test(tc, broker_that_dies);

	tc = add_group(s, "news");
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, news_are_counted_if_they_do_not_fit);
	tcase_add_test(tc, broker_that_cannot_be_watched);
	tcase_add_loop_test(tc, wrong_news_end_it, 0, 2);
	return s;
}
