// SPDX-License-Identifier: MIT
/*
 * Connections between real processes: honest clients and attackers.  During each attack
 * an honest client of another user is served.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/fds.h"
#include "listener.h"
#include "peer.h"
#include "server.h"
#include "suite.h"

#define HONEST		2
#define ATTACKER	3

static struct server_options options;
static struct server server;

static void setup(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	options = server_options();
	options.limits.hello = 0;
	peer_become(HONEST);
}

static void start(void)
{
	server = server_start(&options);
}

static int greeted(void)
{
	int fd = peer_connect(server.path);

	peer_call(fd, 'h');
	return fd;
}

static int attack(void)
{
	uint32_t connected = server.stats->connected;
	int fd;

	peer_become(ATTACKER);
	fd = peer_connect(server.path);
	server_wait(server.stats->connected > connected);
	peer_become(HONEST);
	return fd;
}

/* An honest client: it gets answers and fds. */
static void live(int fd)
{
	unsigned int nr;

	peer_call(fd, 'p');
	ck_assert_int_eq(peer_ask(fd, 'g'), 0);
	ck_assert_int_eq(peer_read(fd, &nr), 'g');
	ck_assert_uint_eq(nr, 2);
}

/* ---- what clients get ---- */

START_TEST(client_is_served)
{
	int fd;

	start();
	fd = greeted();
	for (int i = 0; i < 20; i++)
		live(fd);
	server_wait(server.stats->sent == 20);
	close(fd);
	server_wait(server.stats->gone == 1);
	ck_assert_uint_eq(server.stats->dropped, 1);
	server_stop(&server);
}
END_TEST

/* One that asks without pause and reads later has all its answers, in order. */
START_TEST(answers_wait_for_a_slow_reader)
{
	static const char types[] = "pbg";
	unsigned int asked = 0, nr;
	char order[400];
	int fd;

	options.limits.requests.interval = 0;
	start();
	fd = greeted();
	srand(_i);
	for (unsigned int read = 0; read < sizeof(order); ) {
		if (asked < sizeof(order) && rand() % 3) {
			char type = types[rand() % 3];

			/* What the server does not read fills our side. */
			if (!peer_ask(fd, type))
				order[asked++] = type;
			else
				ck_assert_int_eq(errno, EAGAIN);
		} else if (read < asked) {
			ck_assert_int_eq(peer_read(fd, &nr), order[read]);
			ck_assert_uint_eq(nr, order[read] == 'g' ? 2 : 0);
			read++;
		}
		if (!(rand() % 50))
			usleep(2000);
	}
	close(fd);
	server_stop(&server);
}
END_TEST

START_TEST(long_list_waits_for_its_reader)
{
	int fd, other;

	/* It is one request, however often it has to wait. */
	options.limits.requests = (struct bucket_limit){ 2 + 5 + 25 * 2 + 5, 3600 * 1000000ULL };
	start();
	fd = greeted();
	other = greeted();
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(peer_ask(fd, 'l'), 0);
		for (int j = 0; j < SERVER_LIST; j++) {
			ck_assert_int_eq(peer_read(fd, NULL), 'l');
			if (!(j % 10))
				live(other);
		}
		peer_call(fd, 'p');
	}
	server_stop(&server);
}
END_TEST

START_TEST(last_words_are_read)
{
	int fd;

	start();
	fd = greeted();
	ck_assert_int_eq(peer_ask(fd, 'x'), 0);
	/* A later request that is not answered does not remove the answer. */
	peer_ask(fd, 'p');
	ck_assert_int_eq(peer_read(fd, NULL), '!');
	/* The end is not an error, also if the socket is closed by then. */
	server_wait(server.stats->gone == 1);
	ck_assert_int_eq(peer_read(fd, NULL), 0);
	server_stop(&server);
}
END_TEST

/* The connection belongs to the process that made it, also if others have the socket. */
START_TEST(client_ends_with_its_process)
{
	int both[2], status;
	char byte;
	pid_t pid;

	start();
	ck_assert_int_eq(pipe(both), 0);
	pid = fork();
	if (!pid) {
		greeted();
		if (!fork()) {
			/* It has the socket, until the test ends. */
			while (read(both[0], &byte, 1) < 0)
				;
			_exit(0);
		}
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	server_wait(server.stats->gone == 1);
	live(greeted());
	close(both[1]);
	server_stop(&server);
}
END_TEST

START_TEST(connection_of_a_former_process)
{
	int ends[2], nr = 0, fd;

	/* Its messages are not read, and its request is not answered. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(send(ends[1], "g", 1, 0), 1);
	for (nr = 0; nr < 2; nr++)
		ck_assert_int_eq(peer_ask(ends[0], 'g'), 0);
	options.adopt = ends[1];
	start();
	close(ends[1]);
	fd = greeted();
	live(fd);
	ck_assert_uint_eq(server.stats->handled[HONEST], 3);
	ck_assert_int_eq(peer_read(ends[0], NULL), 'g');
	for (nr = 0; nr < 2; nr++)
		ck_assert_int_eq(peer_read(ends[0], NULL), 'g');
	live(ends[0]);
	close(ends[0]);
	server_wait(server.stats->gone == 1);
	server_stop(&server);
}
END_TEST

/* The fd store has the socket as well: closing it is not the end of what epoll watches. */
START_TEST(connection_that_is_stored)
{
	int ends[2], fd;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	options.adopt = ends[1];
	start();
	fd = greeted();
	peer_call(ends[0], 'p');
	ck_assert_int_eq(peer_ask(ends[0], 'x'), 0);
	ck_assert_int_eq(peer_read(ends[0], NULL), '!');
	ck_assert_int_eq(peer_read(ends[0], NULL), 0);
	server_wait(server.stats->gone == 1);
	close(ends[0]);
	live(fd);
	server_stop(&server);
	close(ends[1]);
}
END_TEST

/* Processes of one user, which all read, with a low limit of fds in flight. */
START_TEST(user_with_many_processes)
{
	enum { NR = 20, CYCLES = 25 };
	int status;

	options.limits.user_fds = 4;
	options.limits.requests.interval = 100;
	start();
	for (int i = 0; i < NR; i++) {
		if (!fork()) {
			int fd = greeted();

			for (int j = 0; j < CYCLES; j++)
				live(fd);
			_exit(0);
		}
	}
	for (int i = 0; i < NR; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	server_wait(server.stats->gone == NR);
	ck_assert_uint_eq(server.stats->handled[HONEST], NR * (2 * CYCLES + 1));
	ck_assert_uint_eq(server.stats->sent, NR * CYCLES);
	server_stop(&server);
}
END_TEST

/* ---- time ---- */

START_TEST(client_without_hello_is_dropped)
{
	int silent, fd;

	/* A busy machine gets to the call before. */
	options.limits.hello = 1000000;
	start();
	silent = attack();
	peer_call(silent, 'p');
	fd = greeted();
	ck_assert_int_eq(peer_read(silent, NULL), 0);
	live(fd);
	ck_assert_uint_eq(server.stats->dropped, 1);
	server_stop(&server);
}
END_TEST

START_TEST(idle_client_is_dropped)
{
	int idle;

	start();
	idle = greeted();
	ck_assert_int_eq(poll(&(struct pollfd){ idle, POLLIN, 0 }, 1, 300), 0);
	server_stop(&server);

	options.limits.idle = 200000;
	start();
	idle = greeted();
	ck_assert_int_eq(peer_read(idle, NULL), 0);
	server_stop(&server);
}
END_TEST

/* ---- attacks ---- */

/*
 * Unread messages are charged to the server, until the clients close their sockets.
 * Shutting down does not end that.
 */
START_TEST(unread_answers_stay_on_the_account)
{
	enum { PLACES = 20, TRIES = 200 };
	static const int how[] = { SHUT_RD, SHUT_WR, SHUT_RDWR };
	int fds[TRIES], fd;

	options.per_user = PLACES;
	options.limits.requests.interval = 0;
	start();
	fd = greeted();
	for (int i = 0; i < TRIES; i++) {
		uint32_t handled = server.stats->handled[ATTACKER];
		uint32_t refused = server.stats->refused;

		fds[i] = attack();
		for (int j = 0; j < 10; j++)
			peer_ask(fds[i], 'b');
		/* Two answers, unless it was refused. */
		server_wait(server.stats->handled[ATTACKER] >= handled + 2 ||
			    server.stats->refused > refused);
		shutdown(fds[i], how[_i]);
		if (!(i % 10))
			live(fd);
	}
	live(greeted());
	server_wait(server.stats->open[ATTACKER] == PLACES);
	ck_assert_uint_eq(server.stats->refused, TRIES - PLACES);
	for (int i = 0; i < TRIES; i++)
		close(fds[i]);
	server_wait(!server.stats->open[ATTACKER]);
	live(fd);
	server_stop(&server);
}
END_TEST

/* A little that is unread leaves the socket writable; the server waits nevertheless. */
START_TEST(unread_answers_keep_nobody_busy)
{
	uint32_t turns;
	int fd, bad;

	start();
	fd = greeted();
	bad = attack();
	ck_assert_int_eq(peer_ask(bad, 'p'), 0);
	ck_assert_int_eq(poll(&(struct pollfd){ bad, POLLIN, 0 }, 1, -1), 1);
	shutdown(bad, _i ? SHUT_RDWR : SHUT_WR);
	server_wait(server.stats->dropped == 1);
	peer_call(fd, 'p');
	turns = server.stats->turns;
	usleep(50000);
	ck_assert_uint_le(server.stats->turns, turns + 2);
	ck_assert_uint_eq(server.stats->gone, 0);
	close(bad);
	server_wait(server.stats->gone == 1);
	server_stop(&server);
}
END_TEST

/* A client is not sent more than it can have unread. */
START_TEST(unread_answers_are_few)
{
	unsigned int nr = 0;
	int fd, other;

	options.limits.requests.interval = 0;
	start();
	other = greeted();
	fd = attack();
	peer_send_and_not_read(fd, "b", 1);
	live(other);
	ck_assert_uint_le(server.stats->handled[ATTACKER], 4);
	/* And gets the rest when it reads. */
	for (nr = 0; nr < 12; nr++) {
		ck_assert_int_eq(peer_read(fd, NULL), 'b');
		peer_ask(fd, 'b');
	}
	server_stop(&server);
}
END_TEST

/* The kernel counts them against the server's user, and has a limit. */
START_TEST(unread_fds_are_few)
{
	enum { NR = 120, OPEN = 20 };
	int fds[NR], fd;

	/* More than are open in the server, and less than could be in flight. */
	options.nofile = 160;
	options.limits.requests.interval = 0;
	start();
	fd = greeted();
	for (int i = 0; i < NR; i++) {
		uint32_t handled = server.stats->handled[ATTACKER];

		fds[i] = attack();
		for (int j = 0; j < 4; j++)
			peer_ask(fds[i], 'g');
		server_wait(server.stats->handled[ATTACKER] > handled);
		if (i % OPEN)
			shutdown(fds[i], SHUT_RDWR);
		if (!(i % 10))
			live(fd);
	}
	for (int i = 0; i < 10; i++)
		live(fd);
	ck_assert_uint_eq(server.stats->unsent, 0);
	/* Clients that wait for others of their user are served when these have ended. */
	for (int i = 0; i < NR; i++)
		if (i % OPEN)
			close(fds[i]);
	for (int i = 0; i < NR; i += OPEN) {
		ck_assert_int_eq(peer_read(fds[i], NULL), 'g');
		close(fds[i]);
	}
	server_wait(!server.stats->open[ATTACKER]);
	live(fd);
	ck_assert_uint_eq(server.stats->unsent, 0);
	server_stop(&server);
}
END_TEST

static int send_packet(int fd, size_t size, unsigned int nr_fds)
{
	const int fds[FDS_MAX] = { fd, fd, fd, fd, fd, fd, fd, fd };
	char data[2000] = "p";

	return fds_send(fd, data, size, fds, nr_fds, 0);
}

/* Another process of the server's user, that has as many in flight as the server may have. */
static pid_t put_fds_in_flight(unsigned int nr)
{
	int ready[2], ends[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		server_become_user();
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
			_exit(1);
		for (unsigned int i = 0; i < nr; i += 8)
			if (send_packet(ends[0], 1, 8))
				_exit(1);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* If that limit is reached nevertheless, the client stays, and can be notified. */
START_TEST(fds_that_cannot_be_sent)
{
	unsigned int nr;
	pid_t filler;
	int fd;

	options.nofile = 64;
	start();
	fd = greeted();
	live(fd);
	server_wait(server.stats->sent == 1);
	nr = server_fds(&server);
	filler = put_fds_in_flight(80);
	ck_assert_int_eq(peer_ask(fd, 'g'), 0);
	server_wait(server.stats->unsent == 1);
	peer_call(fd, 'p');
	ck_assert_uint_eq(server_fds(&server), nr);
	kill(filler, SIGKILL);
	ck_assert_int_eq(waitpid(filler, NULL, 0), filler);
	live(fd);
	server_wait(server.stats->sent == 2);
	ck_assert_uint_eq(server.stats->dropped, 0);
	server_stop(&server);
}
END_TEST

START_TEST(many_connections)
{
	enum { NR = 2000, PLACES = 32 };
	int fds[NR], fd;

	options.nofile = 256;
	options.per_user = PLACES;
	start();
	fd = greeted();
	for (int i = 0; i < NR; i++) {
		fds[i] = attack();
		if (!(i % 100)) {
			live(fd);
			live(greeted());
		}
	}
	server_wait(server.stats->open[ATTACKER] == PLACES);
	ck_assert_uint_eq(server.stats->connected, NR + 21);
	ck_assert_uint_eq(server.stats->refused, NR - PLACES);
	/* No message was sent for it. */
	ck_assert_int_eq(peer_read(fds[NR - 1], NULL), 0);
	/* One line for each would fill the disk. */
	ck_assert_uint_le(server.stats->lines, 100);
	for (int i = 0; i < NR; i++)
		close(fds[i]);
	server_wait(!server.stats->open[ATTACKER]);
	server_stop(&server);
}
END_TEST

static uint64_t time_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

/* It is served at its rate, and loses neither the connection nor a request. */
START_TEST(flood_of_requests)
{
	enum { NR = 60, BURST = 20, INTERVAL = 20000 };
	int fd, flood, other;
	uint64_t begin;
	pid_t pid;

	options.limits.requests = (struct bucket_limit){ BURST, INTERVAL };
	start();
	fd = greeted();
	begin = time_now();
	flood = attack();
	other = attack();
	pid = fork();
	if (!pid) {
		for (int i = 0; i < NR; i++)
			peer_call(flood, 'p');
		_exit(0);
	}
	server_wait(server.stats->handled[ATTACKER] >= BURST);
	/* The rate is the user's, and others have theirs. */
	for (int i = 0; i < BURST / 4; i++)
		live(fd);
	peer_call(other, 'p');
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_uint_ge(time_now() - begin, (NR + 1 - BURST) * INTERVAL);
	ck_assert_uint_eq(server.stats->handled[ATTACKER], NR + 1);
	ck_assert_uint_eq(server.stats->dropped, 0);
	server_stop(&server);
}
END_TEST

/* Fds are not even received. */
START_TEST(packets_that_are_none)
{
	static const struct { size_t size; unsigned int fds; } packets[] = {
		{ 0, 0 }, { 2, 0 }, { 513, 0 }, { 2000, 0 },
		{ 1, 1 }, { 1, 8 }, { 0, 1 },
	};
	unsigned int nr;
	int fd;

	start();
	fd = greeted();
	nr = server_fds(&server);
	ck_assert_int_eq(send_packet(fd, PACKET_MAX, 0), 0);
	ck_assert_int_eq(peer_read(fd, NULL), 'p');
	for (unsigned int i = 0; i < sizeof(packets) / sizeof(*packets); i++) {
		int bad = attack();

		peer_call(bad, 'h');
		ck_assert_int_eq(send_packet(bad, packets[i].size, packets[i].fds), 0);
		peer_ask(bad, 'p');
		while (peer_read(bad, NULL) == '!')
			;
		server_wait(server.stats->gone == i + 1);
		ck_assert_uint_eq(server_fds(&server), nr);
		ck_assert_uint_eq(server.stats->handled[ATTACKER], i + 1);
		live(fd);
		close(bad);
	}
	server_stop(&server);
}
END_TEST

/* A connection of TCP with much that is not sent, whose last close() waits for that. */
static int lingering(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct linger linger = { 1, 40 };
	static const char data[65536];
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(ends[0], (void *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(ends[0], 1), 0);
	ck_assert_int_eq(getsockname(ends[0], (void *)&address, &size), 0);
	ck_assert_int_eq(connect(fd, (void *)&address, sizeof(address)), 0);
	ends[1] = accept(ends[0], NULL, NULL);
	ck_assert_int_ge(ends[1], 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* What the server does not receive it closes, and closing can take as long as the sender likes. */
START_TEST(fds_that_close_slowly)
{
	struct timespec begin, end;
	int fd, bad, slow, ends[2];

	start();
	fd = greeted();
	bad = attack();
	slow = lingering(ends);
	/* All of it is there before the server looks. */
	ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
	ck_assert_int_eq(peer_ask(bad, 'p'), 0);
	if (_i == 1)
		ck_assert_int_eq(peer_send(bad, "", 0), 0);
	if (_i == 2)
		ck_assert_int_eq(fds_send(bad, "", 0, &fd, 1, 0), 0);
	ck_assert_int_eq(fds_send(bad, "", 1, &slow, 1, 0), 0);
	close(slow);
	close(bad);
	ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	server_wait(server.stats->gone == 1);
	live(fd);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ck_assert_int_lt(end.tv_sec - begin.tv_sec, 20);
	close(ends[0]);
	close(ends[1]);
	server_stop(&server);
}
END_TEST

/* While a request with fds waits for its turn, the fds are in the socket, not in the server. */
START_TEST(fds_that_wait)
{
	unsigned int nr;
	int fd, bad;

	options.limits.requests = (struct bucket_limit){ 20, 3600 * 1000000ULL };
	start();
	fd = greeted();
	bad = attack();
	for (int i = 0; i < 20; i++)
		peer_call(bad, 'p');
	nr = server_fds(&server);
	ck_assert_int_eq(send_packet(bad, 1, 8), 0);
	live(fd);
	server_wait(server.stats->sent == 1);
	ck_assert_uint_eq(server_fds(&server), nr);
	ck_assert_uint_eq(server.stats->handled[ATTACKER], 20);
	ck_assert_uint_eq(server.stats->dropped, 0);
	server_stop(&server);
}
END_TEST

/* ---- no fds left ---- */

/* Clients that cannot be served are refused, and do not keep the server busy. */
START_TEST(accept_without_fds)
{
	enum { NR = 100 };
	int fds[NR], fd, last;
	uint32_t turns;

	/* A connection takes two, so that one more is left or not. */
	options.nofile = 64 + _i;
	start();
	fd = greeted();
	for (int i = 0; i < NR; i++)
		fds[i] = peer_connect(server.path);
	ck_assert_int_eq(peer_read(fds[NR - 1], NULL), 0);
	peer_call(fd, 'p');
	turns = server.stats->turns;
	usleep(100000);
	ck_assert_uint_le(server.stats->turns, turns + 2);
	/* Some fds are left for slices that are sent to it. */
	live(fd);
	for (int i = 0; i < NR; i++)
		close(fds[i]);
	server_wait(server.stats->open[HONEST] == 1);
	last = greeted();
	live(last);
	server_stop(&server);
}
END_TEST

START_TEST(accept_with_the_reserve)
{
	int fd, late;

	options.nofile = 64;
	start();
	fd = greeted();
	peer_call(fd, 'e');
	for (int i = 0; i < 20; i++) {
		late = peer_connect(server.path);
		ck_assert_int_eq(peer_read(late, NULL), 0);
		close(late);
	}
	peer_call(fd, 'R');
	live(greeted());
	live(fd);
	ck_assert_uint_eq(server.stats->connected, 2);
	server_stop(&server);
}
END_TEST

/* The reserve does not help if the limit is below the number of open fds. */
START_TEST(accept_without_a_reserve)
{
	uint32_t turns;
	int fd, late;

	start();
	fd = greeted();
	peer_call(fd, 'r');
	late = peer_connect(server.path);
	ck_assert_int_eq(peer_ask(late, 'h'), 0);
	peer_call(fd, 'p');
	turns = server.stats->turns;
	usleep(200000);
	ck_assert_uint_le(server.stats->turns, turns + 5);
	peer_call(fd, 'p');
	/* It is looked after again when there are some. */
	peer_call(fd, 'R');
	ck_assert_int_eq(peer_read(late, NULL), 'h');
	live(late);
	live(fd);
	server_stop(&server);
}
END_TEST

/* ---- time for new connections ---- */

#define MS	1000ULL		/* microseconds */

static bool reports(int epoll)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, 0) == 1;
}

/* They have a quarter of the time, and 20 ms at once if there were none before. */
START_TEST(time_for_new_connections_is_limited)
{
	char path[] = "/tmp/connections-XXXXXX/socket";
	char *end = strrchr(path, '/');
	struct listener listener = { .fd = -1, .reserve = -1 };
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd;
	uint64_t now = 1000000 * MS, until;

	*end = '\0';
	ck_assert_ptr_nonnull(mkdtemp(path));
	*end = '/';
	fd = listener_make_socket(path, SOCK_SEQPACKET);
	ck_assert_int_eq(listener_open(&listener, epoll, fd), 0);
	peer_connect(path);
	for (int i = 0; i < 20; i++) {
		listener_charge(&listener, epoll, now, 1 * MS);
		ck_assert(reports(epoll));
	}
	listener_charge(&listener, epoll, now, 1 * MS);
	ck_assert(!reports(epoll));
	until = listener_tick(&listener, epoll, now);
	ck_assert_uint_eq(until, now + 8 * MS);
	ck_assert_uint_eq(listener_tick(&listener, epoll, until - 1), until);
	ck_assert(!reports(epoll));
	ck_assert_uint_eq(listener_tick(&listener, epoll, until), UINT64_MAX);
	ck_assert(reports(epoll));
	/* 1 ms was left by the pause. A quarter of what passes is added. */
	for (int i = 0; i < 100; i++) {
		listener_charge(&listener, epoll, until += 4 * MS, 1 * MS);
		ck_assert(reports(epoll));
	}
	listener_charge(&listener, epoll, until, 1 * MS + 1);
	ck_assert(!reports(epoll));
	listener_close(&listener);
	close(epoll);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker_connections");
	TCase *tc = add_group(s, "service");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, client_is_served);
	tcase_add_loop_test(tc, answers_wait_for_a_slow_reader, 0, 4);
	tcase_add_test(tc, long_list_waits_for_its_reader);
	tcase_add_test(tc, last_words_are_read);
	tcase_add_test(tc, client_ends_with_its_process);
	tcase_add_test(tc, connection_of_a_former_process);
	tcase_add_test(tc, connection_that_is_stored);
	tcase_add_test(tc, user_with_many_processes);

	tc = add_group(s, "time");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, client_without_hello_is_dropped);
	tcase_add_test(tc, idle_client_is_dropped);

	tc = add_group(s, "attacks");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, unread_answers_stay_on_the_account, 0, 3);
	tcase_add_loop_test(tc, unread_answers_keep_nobody_busy, 0, 2);
	tcase_add_test(tc, unread_answers_are_few);
	tcase_add_test(tc, unread_fds_are_few);
	tcase_add_test(tc, fds_that_cannot_be_sent);
	tcase_add_test(tc, many_connections);
	tcase_add_test(tc, flood_of_requests);
	tcase_add_test(tc, packets_that_are_none);
	tcase_add_loop_test(tc, fds_that_close_slowly, 0, 3);
	tcase_add_test(tc, fds_that_wait);

	tc = add_group(s, "new connections");
	tcase_add_test(tc, time_for_new_connections_is_limited);

	tc = add_group(s, "no fds left");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, accept_without_fds, 0, 2);
	tcase_add_test(tc, accept_with_the_reserve);
	tcase_add_test(tc, accept_without_a_reserve);
	return s;
}
