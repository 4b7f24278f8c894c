/* SPDX-License-Identifier: MIT */
/* A service manager for one service. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager.h"
#include "suite.h"

#define NOTIFY		"/tmp/notify.socket"
#define PID_FILE	"/tmp/manager.pid"
#define MAX_STORED	512
#define FIRST_FD	3

struct stored {
	char name[MANAGER_NAME];
	int fd;
};

static struct stored store[MAX_STORED];
static unsigned int nr_stored, nr_messages;
static bool keeping;
static const char *refused;
static char status_text[512];
static int listening, notify, ready[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t kept = PTHREAD_COND_INITIALIZER;

static int socket_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_works(fd);
	unlink(path);
	strcpy(address.sun_path, path);
	ck_assert_works(bind(fd, (void *)&address, sizeof(address)));
	ck_assert_works(chmod(path, 0666));
	return fd;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return !fstat(a, &sa) && !fstat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static void keep(const char *name, int fd)
{
	/* The same file again is dropped, as systemd does. */
	for (unsigned int i = 0; i < nr_stored; i++) {
		if (same_file(store[i].fd, fd) && !strcmp(store[i].name, name)) {
			close(fd);
			return;
		}
	}
	if (!keeping || nr_stored == MAX_STORED ||
	    (refused && !strncmp(name, refused, strlen(refused)))) {
		close(fd);
		return;
	}
	snprintf(store[nr_stored].name, sizeof(store[0].name), "%s", name);
	store[nr_stored++].fd = fd;
	pthread_cond_broadcast(&kept);
}

static void forget(const char *prefix, bool exact)
{
	for (unsigned int i = 0; i < nr_stored; ) {
		if (exact ? strcmp(store[i].name, prefix) :
			    strncmp(store[i].name, prefix, strlen(prefix))) {
			i++;
			continue;
		}
		close(store[i].fd);
		store[i] = store[--nr_stored];
	}
}

static void understand(char *text, int fd)
{
	const char *name = "stored", *status = NULL;
	bool to_store = false, remove = false;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strcmp(line, "READY=1") && write(ready[1], "", 1) != 1)
			abort();
		to_store |= !strcmp(line, "FDSTORE=1");
		remove |= !strcmp(line, "FDSTOREREMOVE=1");
		if (!strncmp(line, "FDNAME=", 7))
			name = line + 7;
		if (!strncmp(line, "STATUS=", 7))
			status = line + 7;
	}
	pthread_mutex_lock(&lock);
	nr_messages++;
	if (status) {
		snprintf(status_text, sizeof(status_text), "%s", status);
		pthread_cond_broadcast(&kept);
	}
	if (remove) {
		forget(name, true);
		pthread_cond_broadcast(&kept);
	}
	if (to_store && fd >= 0)
		keep(name, fd);
	else if (fd >= 0)
		close(fd);	/* a barrier is answered by that */
	pthread_mutex_unlock(&lock);
}

static void *serve(void *unused)
{
	(void)unused;
	for (;;) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		} control;
		char text[1024];
		struct iovec iov = { text, sizeof(text) - 1 };
		struct msghdr message = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control, .msg_controllen = sizeof(control),
		};
		ssize_t size = recvmsg(notify, &message, MSG_CMSG_CLOEXEC);
		int fd = -1;

		if (size < 0)
			return NULL;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
			if (c->cmsg_type == SCM_RIGHTS)
				memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		text[size] = '\0';
		understand(text, fd);
	}
}

/* What a test that failed has left running has the devices open. */
static void end_former(void)
{
	FILE *file = fopen(PID_FILE, "r");
	struct pollfd p = { .events = POLLIN };
	int pid;

	if (!file)
		return;
	if (fscanf(file, "%d", &pid) == 1 && (p.fd = pidfd_open(pid, 0)) >= 0) {
		pidfd_send_signal(p.fd, SIGKILL, NULL, 0);
		poll(&p, 1, -1);
		close(p.fd);
	}
	fclose(file);
	unlink(PID_FILE);
}

static void note_pid(pid_t pid)
{
	FILE *file = fopen(PID_FILE, "w");

	ck_assert_ptr_nonnull(file);
	fprintf(file, "%d", pid);
	fclose(file);
}

void manager_init(void)
{
	pthread_t thread;

	end_former();
	keeping = true;
	refused = NULL;
	*status_text = '\0';
	manager_forget("");
	if (listening)
		return;
	listening = socket_at(MANAGER_SOCKET, SOCK_SEQPACKET);
	ck_assert_works(listen(listening, 64));
	notify = socket_at(NOTIFY, SOCK_DGRAM);
	ck_assert_works(pipe2(ready, O_CLOEXEC));
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
}

void manager_keep(bool keep_them)
{
	keeping = keep_them;
}

void manager_refuse(const char *prefix)
{
	pthread_mutex_lock(&lock);
	refused = prefix;
	pthread_mutex_unlock(&lock);
}

unsigned int manager_messages(void)
{
	unsigned int count;

	pthread_mutex_lock(&lock);
	count = nr_messages;
	pthread_mutex_unlock(&lock);
	return count;
}

/* Until all that a service has sent is understood, as systemd before it sees that one end. */
static void settle(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = NOTIFY };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { "BARRIER=1", 9 };
	struct msghdr message = {
		.msg_name = &address, .msg_namelen = sizeof(address),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), ends[2];
	char byte;

	ck_assert_works(fd);
	ck_assert_works(pipe2(ends, O_CLOEXEC));
	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &ends[1], sizeof(int));
	ck_assert_works(sendmsg(fd, &message, 0));
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	close(fd);
}

/* In the child: the fds in their places, and the environment. */
static void run(char *const argv[])
{
	char names[MAX_STORED * 64] = "listening", number[16];
	int fds[MAX_STORED + 1], nr = 0;

	fds[nr++] = fcntl(listening, F_DUPFD, 600);
	for (unsigned int i = 0; i < nr_stored; i++) {
		strcat(names, ":");
		strcat(names, store[i].name);
		fds[nr++] = fcntl(store[i].fd, F_DUPFD, 600);
	}
	for (int i = 0; i < nr; i++)
		dup2(fds[i], FIRST_FD + i);
	close_range(FIRST_FD + nr, ~0u, 0);
	snprintf(number, sizeof(number), "%d", nr);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("NOTIFY_SOCKET", NOTIFY, 1);
	snprintf(number, sizeof(number), "%d", MAX_STORED);
	if (keeping)
		setenv("FDSTORE", number, 1);
	execv(argv[0], argv);
	_exit(127);
}

pid_t manager_start(char *const argv[], int *status)
{
	pid_t pid;

	settle();
	pthread_mutex_lock(&lock);
	pid = fork();
	if (!pid)
		run(argv);
	pthread_mutex_unlock(&lock);
	ck_assert_works(pid);
	note_pid(pid);
	for (;;) {
		struct pollfd p = { .fd = ready[0], .events = POLLIN };
		char byte;

		if (poll(&p, 1, 20) == 1 && read(ready[0], &byte, 1) == 1)
			return pid;
		if (waitpid(pid, status, WNOHANG) == pid)
			return 0;
	}
}

int manager_wait(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

void manager_wait_ready(void)
{
	char byte;

	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
}

static unsigned int count_kept(const char *prefix)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < nr_stored; i++)
		count += !strncmp(store[i].name, prefix, strlen(prefix));
	return count;
}

void manager_wait_count(const char *prefix, unsigned int nr)
{
	pthread_mutex_lock(&lock);
	while (count_kept(prefix) != nr)
		pthread_cond_wait(&kept, &lock);
	pthread_mutex_unlock(&lock);
}

void manager_wait_status(const char *part)
{
	pthread_mutex_lock(&lock);
	while (!strstr(status_text, part))
		pthread_cond_wait(&kept, &lock);
	pthread_mutex_unlock(&lock);
}

int manager_fd(const char *name)
{
	int fd = -1;

	pthread_mutex_lock(&lock);
	while (!count_kept(name))
		pthread_cond_wait(&kept, &lock);
	for (unsigned int i = 0; i < nr_stored; i++)
		if (!strcmp(store[i].name, name))
			fd = store[i].fd;
	pthread_mutex_unlock(&lock);
	return fd;
}

void manager_name(const char *prefix, char name[MANAGER_NAME])
{
	pthread_mutex_lock(&lock);
	while (!count_kept(prefix))
		pthread_cond_wait(&kept, &lock);
	for (unsigned int i = 0; i < nr_stored; i++)
		if (!strncmp(store[i].name, prefix, strlen(prefix)))
			memcpy(name, store[i].name, sizeof(store[i].name));
	pthread_mutex_unlock(&lock);
}

void manager_forget(const char *prefix)
{
	pthread_mutex_lock(&lock);
	while (*prefix && !count_kept(prefix))
		pthread_cond_wait(&kept, &lock);
	forget(prefix, false);
	pthread_mutex_unlock(&lock);
}
