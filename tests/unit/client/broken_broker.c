// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "broken_broker.h"
#include "common/fds.h"

char path[64];
int listening, file, variant;
pid_t broker;
struct vdb_client *client;

/* ---- functions in place of the C library's ---- */

/* A file of the test stands for a DMABUF. */
int fstatfs(int fd, struct statfs *fs)
{
	(void)fd;
	memset(fs, 0, sizeof(*fs));
	fs->f_type = 0x444d4142;
	return 0;
}

enum wait wait_for_end;

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

bool always_a_message;

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	wait_if(BEFORE_RECEIVING, fd);
	if (always_a_message)
		ck_assert_int_eq(poll(&p, 1, -1), 1);
	return syscall(SYS_recvmsg, fd, message, flags);
}

/* ---- the broker ---- */

void say(int fd, const void *message, size_t size, unsigned int nr_fds)
{
	int fds[] = { file, file, file, file };

	fds_send(fd, message, size, fds, nr_fds, 0);
}

union message_to_broker ask(int fd, uint32_t type)
{
	union message_to_broker request;

	must(recv(fd, request.bytes, sizeof(request), 0) > 0);
	must(request.header.type == type);
	return request;
}

void expect_release(int fd, uint64_t lease)
{
	must(ask(fd, VDP_RELEASE).lease.lease == lease);
}

void say_waiting(int fd, uint64_t serial, uint64_t lease)
{
	struct vdp_acquire_answer m = {
		.header = { .type = VDP_ACQUIRE | VDP_ANSWER, .serial = serial }, .lease = lease,
	};

	say(fd, &m, sizeof(m), 0);
}

void say_grant(int fd, uint64_t serial, uint64_t lease)
{
	struct vdp_grant m = {
		.header = { .type = VDP_GRANT, .serial = serial }, .lease = lease, .length = PAGE,
	};

	say(fd, &m, sizeof(m), 2);
}

void say_memory(int fd, const struct vdp_grant *grant, size_t size, bool sealed, unsigned int nr)
{
	int fds[] = { file, file, memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING), file };

	must(!ftruncate(fds[2], size));
	if (sealed)
		must(!fcntl(fds[2], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	fds_send(fd, grant, sizeof(*grant), fds, nr, 0);
	close(fds[2]);
}

void say_with_memory(int fd, const struct vdp_grant *grant, size_t size, bool sealed)
{
	say_memory(fd, grant, size, sealed, grant->flags & VDP_INTERRUPT ? 4 : 3);
}

void say_state(int fd, uint64_t serial, uint64_t lease, uint32_t state)
{
	struct vdp_state m = {
		.header = { .type = VDP_STATE, .serial = serial }, .lease = lease, .state = state,
	};

	say(fd, &m, sizeof(m), 0);
}

void say_end(int fd, uint64_t serial, uint64_t lease, uint64_t answers, uint32_t end)
{
	struct vdp_end m = {
		.header = { .type = VDP_END, .serial = serial }, .lease = lease, .answers = answers, .end = end,
	};

	say(fd, &m, sizeof(m), 0);
}

void say_renewed(int fd, uint64_t serial, uint32_t seconds)
{
	struct vdp_renew_answer m = {
		.header = { .type = VDP_RENEW | VDP_ANSWER, .serial = serial }, .seconds = seconds,
	};

	say(fd, &m, sizeof(m), 0);
}

void say_error(int fd, uint64_t serial, uint32_t code)
{
	struct vdp_error m = {
		.header = { .type = VDP_ERROR, .serial = serial }, .code = code, .text = "because",
	};

	say(fd, &m, sizeof(m), 0);
}

void say_slice(int fd, uint64_t serial, uint32_t item, const char *name)
{
	struct vdp_slice_item m = {
		.header = { .type = VDP_LIST_SLICES | VDP_ITEM, .serial = serial, .item = item },
	};

	strcpy(m.name, name);
	say(fd, &m, sizeof(m), 0);
}

void say_plain(int fd, uint64_t serial, uint32_t type)
{
	struct vdp_plain m = { .header = { .type = type, .serial = serial } };

	say(fd, &m, sizeof(m), 0);
}

void say_news(int fd, uint64_t serial, uint64_t lease, uint32_t type, uint64_t missed)
{
	struct vdp_news m = {
		.header = { .type = VDP_NEWS, .serial = serial }, .lease = lease, .type = type, .missed = missed,
	};

	say(fd, &m, sizeof(m), 0);
}

void answer_hello(int fd, uint32_t version)
{
	struct vdp_hello_answer m = {
		.header = { .type = VDP_HELLO | VDP_ANSWER, .serial = ask(fd, VDP_HELLO).header.serial },
		.version = version,
	};

	say(fd, &m, sizeof(m), 0);
}

uint64_t ask_renew(int fd)
{
	return ask(fd, VDP_RENEW).header.serial;
}

void answer_renew(int fd)
{
	say_renewed(fd, ask_renew(fd), 7);
}

static void read_to_end(int fd)
{
	char bytes[VDP_MAX_MESSAGE];

	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

void start(script *fn, bool greeted)
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

void done(void)
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

int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

void connect_to(script *fn)
{
	start(fn, true);
	client = vdb_client_connect(path, LONG_MS, NULL);
	ck_assert_msg(client, "connect: %s", strerrorname_np(errno));
}

const char *connect_fails(int error)
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

int acquire(uint32_t wait_ms, struct vdb_lease *lease)
{
	return vdb_client_acquire(client, "a/b", 0, 0, 0, wait_ms, lease);
}

bool ignore_slice(const struct vdb_slice_info *info, void *data)
{
	(void)info;
	++*(int *)data;
	return true;
}

uint64_t acquire_start(void)
{
	uint64_t request = 0;

	ck_assert_works(vdb_client_acquire_start(client, "a/b", 0, 0, 0, 1000, &request));
	return request;
}

void connection_works(void)
{
	vdb_client_set_timeout(client, LONG_MS);
	ck_assert_int_eq(vdb_client_renew(client, 1, 0), 7);
}

void nothing_to_report(void)
{
	struct vdb_event event;

	ck_assert_int_eq(vdb_client_next(client, &event), 0);
}

struct vdb_event next_event(void)
{
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };
	struct vdb_event event;
	int ret;

	while (!(ret = vdb_client_next(client, &event)))
		ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
	ck_assert_int_eq(ret, 1);
	return event;
}

void check_ended(void)
{
	struct vdb_event event;

	ck_assert_fails(vdb_client_release(client, 1), ENOTCONN);
	ck_assert_fails(vdb_client_next(client, &event), ENOTCONN);
	ck_assert_str_ne(vdb_client_error(client), "");
}

TCase *add_broken_group(Suite *s, const char *name)
{
	TCase *tc = add_group(s, name);

	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	return tc;
}
