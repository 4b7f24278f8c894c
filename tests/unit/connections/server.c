// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "identity.h"
#include "listener.h"
#include "peer_user.h"
#include "server.h"
#include "suite.h"

#define MAX_CLIENTS	4096

/* In the server's process. */
static struct connections *connections;
static struct server_stats *stats;
static uint32_t per_user;
static struct { uint64_t id, user; unsigned int listed; } clients[MAX_CLIENTS];

int user_of_peer(int socket, const struct identity *who, uint64_t *user)
{
	char path[64], name[32] = "";
	FILE *file;

	(void)socket;
	snprintf(path, sizeof(path), "/proc/%d/comm", who->pid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : -1;
	if (!fgets(name, sizeof(name), file) || sscanf(name, "user-%lu", user) != 1)
		*user = 0;
	fclose(file);
	return 0;
}

static unsigned int slot_of(uint64_t id)
{
	unsigned int i = 0;

	while (clients[i].id != id)
		if (++i == MAX_CLIENTS)
			abort();
	return i;
}

static void add_client(uint64_t id, uint64_t user)
{
	unsigned int i = slot_of(0);

	clients[i].id = id;
	clients[i].user = user;
	clients[i].listed = 0;
	if (++stats->open[user] > stats->most_open[user])
		stats->most_open[user] = stats->open[user];
	/* Last: the test waits for it. */
	stats->connected++;
}

static void on_connect(const struct event *event)
{
	bool refused = per_user && stats->open[event->user] >= per_user;

	add_client(event->client, event->user);
	if (!refused)
		return;
	/* A refused connection does not count as open for the broker's core either. */
	stats->refused++;
	connections_drop(connections, event->client, "too many");
}

static void on_event(void *shell, const struct event *event)
{
	unsigned int i;

	(void)shell;
	switch (event->type) {
	case EVENT_CONNECT:
		on_connect(event);
		break;
	case EVENT_DROPPED:
		stats->dropped++;
		break;
	case EVENT_SENT:
		if (event->ok)
			stats->sent++;
		else
			stats->unsent++;
		break;
	case EVENT_GONE:
		i = slot_of(event->client);
		stats->open[clients[i].user]--;
		clients[i].id = 0;
		stats->gone++;
		break;
	default:
		abort();
	}
}

static void grant(uint64_t client)
{
	char data[PACKET_MAX] = "g";
	int fds[2] = {
		open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/null", O_RDONLY | O_CLOEXEC),
	};

	if (fds[0] < 0 || fds[1] < 0)
		abort();
	connections_send(connections, client, data, sizeof(data), fds, 2);
}

static enum packet_outcome list(uint64_t client, unsigned int i)
{
	char data[PACKET_MAX] = "l";

	for (; clients[i].listed < SERVER_LIST; clients[i].listed++) {
		data[1] = clients[i].listed;
		if (!connections_reply(connections, client, data, sizeof(data)))
			return PACKET_LATER;
	}
	clients[i].listed = 0;
	return PACKET_DONE;
}

static void limit_fds(rlim_t nr)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		abort();
	limit.rlim_cur = nr ? nr : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		abort();
}

static rlim_t first_free_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* An answer for which there must be room. */
static void reply(uint64_t client, char type, size_t size)
{
	char data[PACKET_MAX] = { type };

	connections_reply(connections, client, data, size);
}

static enum packet_outcome on_packet(void *shell, uint64_t client, const void *data, size_t size,
				    bool fds)
{
	unsigned int i = slot_of(client);
	char type = !fds && size && size != 2 && size <= PACKET_MAX ? *(const char *)data : 0;

	(void)shell;
	if (!type) {
		reply(client, '!', 8);
		return PACKET_DROP;
	}
	if (!(type == 'l' && clients[i].listed))
		stats->handled[clients[i].user]++;
	switch (type) {
	case 'h':
		connections_set_greeted(connections, client);
		reply(client, 'h', 8);
		return PACKET_DONE;
	case 'p':
		reply(client, 'p', 8);
		return PACKET_DONE;
	case 'b':
		reply(client, 'b', PACKET_MAX);
		return PACKET_DONE;
	case 'g':
		grant(client);
		return PACKET_DONE;
	case 'e':
	case 'r':
	case 'R':
		limit_fds(type == 'e' ? first_free_fd() : type == 'r' ? 4 : 0);
		reply(client, type, 8);
		return PACKET_DONE;
	case 'l':
		return list(client, i);
	default:
		reply(client, '!', 8);
		return PACKET_DROP;
	}
}

static bool has_nothing(void *shell, uint64_t client)
{
	(void)shell, (void)client;
	return true;
}

static void on_log(void *shell, const char *line)
{
	(void)shell;
	stats->lines++;
	if (strstr(line, "suppressed"))
		stats->suppressed++;
	if (getenv("SERVER_LOG"))
		fprintf(stderr, "# %s\n", line);
}

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static const struct connections_calls calls = { on_event, on_packet, has_nothing, on_log };

static void adopt(int fd)
{
	uint64_t user;

	if (fd < 0)
		return;
	if (!connections_adopt(connections, fd, ADOPTED, &user))
		abort();
	add_client(ADOPTED, user);
}

static int until(uint64_t time)
{
	uint64_t now = clock_now();

	if (time == UINT64_MAX)
		return -1;
	return time <= now ? 0 : (time - now + 999) / 1000;
}

static void serve(const struct server_options *options, int listening)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	sigset_t term, others;

	per_user = options->per_user;
	connections = connections_new(epoll, &options->limits, &calls, NULL);
	if (!connections)
		abort();
	adopt(options->adopt);
	if (connections_listen(connections, listening))
		abort();
	/* It comes while the server waits. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &others);
	signal(SIGTERM, on_signal);
	while (!stop) {
		struct epoll_event events[8];
		int timeout = until(connections_work(connections, clock_now()));
		int nr = epoll_pwait(epoll, events, 8, timeout, &others);

		stats->turns++;
		for (int i = 0; i < nr; i++) {
			struct watch *watch = events[i].data.ptr;

			watch->on_event(watch, events[i].events);
		}
	}
	connections_free(connections);
}

/* A user of its own, because fds in flight are counted by user: other tests may run. */
void server_become_user(void)
{
	uid_t uid = 1000000 + getpgrp();

	/* In a user namespace with one user, root has no more rights than others. */
	if (!getuid() && setresuid(uid, uid, uid))
		errno = 0;
}

/* The test's fds are not the server's; and the kernel limits fds in flight but for root. */
static void enter(const struct server_options *options, int listening)
{
	struct rlimit limit = { options->nofile, options->nofile };

	for (int fd = 3; fd < 1024; fd++)
		if (fd != listening && fd != options->adopt)
			close(fd);
	if (options->nofile)
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	server_become_user();
}

struct server_options server_options(void)
{
	return (struct server_options){ .limits = flow_defaults, .adopt = -1 };
}

struct server server_start(const struct server_options *options)
{
	struct server server = { .path = "/tmp/connections-XXXXXX" };
	int listening;

	stats = mmap(NULL, sizeof(*stats), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stats, MAP_FAILED);
	server.stats = stats;
	ck_assert_ptr_nonnull(mkdtemp(server.path));
	strcat(server.path, "/socket");
	listening = listener_make_socket(server.path, SOCK_SEQPACKET);
	ck_assert_int_ge(listening, 0);
	server.pid = fork();
	ck_assert_int_ge(server.pid, 0);
	if (!server.pid) {
		enter(options, listening);
		serve(options, listening);
		exit(0);
	}
	close(listening);
	return server;
}

/* One that has died, or leaves memory, is a failure. */
void server_stop(struct server *server)
{
	int status;

	kill(server->pid, SIGTERM);
	ck_assert_int_eq(waitpid(server->pid, &status, 0), server->pid);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	unlink(server->path);
	*strrchr(server->path, '/') = '\0';
	rmdir(server->path);
}

unsigned int server_fds(const struct server *server)
{
	char path[64];
	unsigned int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", server->pid);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2;
}
