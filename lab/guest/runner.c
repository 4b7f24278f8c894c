/* SPDX-License-Identifier: MIT */
/*
 * Runs the guest's programs one after another and reports on the results
 * channel, one line each:
 *
 *	beat			every second: time goes on in the guest
 *	begin <program>		it starts
 *	|<line>			it wrote a line to stdout
 *	!<line>			it wrote a line to stderr
 *	end <program> <status>	exit <n>, signal <n> or timeout
 *
 * Whatever a program leaves running is killed before the next one starts.  A
 * program that cannot be killed stops the machine, with the stacks of what is
 * stuck on the console.
 *
 *	runner <results> <seconds for each program> <program>...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BEAT_MS		1000
#define KILL_SECONDS	20

struct stream {
	int fd;
	char mark;
	size_t len;
	char line[4096];
};

static int results;

static void die(const char *what)
{
	fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void put(const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(results, buf, len);

		if (n < 0 && errno != EINTR)
			die("results channel");
		if (n > 0) {
			buf += n;
			len -= n;
		}
	}
}

__attribute__((format(printf, 1, 2)))
static void report(const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	put(line, n);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "runner: %s: %s\n", path, strerror(errno));
	close(fd);
}

static void flush_line(struct stream *s)
{
	char line[sizeof(s->line) + 2];

	line[0] = s->mark;
	memcpy(line + 1, s->line, s->len);
	line[s->len + 1] = '\n';
	put(line, s->len + 2);
	s->len = 0;
}

/* False at the end of the stream. */
static bool forward(struct stream *s)
{
	char buf[4096];
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] != '\n')
			s->line[s->len++] = buf[i];
		if (buf[i] == '\n' || s->len == sizeof(s->line))
			flush_line(s);
	}
	return n > 0;
}

static void drain(struct stream *s)
{
	if (s->fd < 0)
		return;
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0 || !forward(s))
			break;
	}
	if (s->len)
		flush_line(s);
	close(s->fd);
}

/* Kills all children, which as a subreaper are all descendants in the end. */
static void kill_children(void)
{
	char path[64], list[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	n = read(fd, list, sizeof(list) - 1);
	close(fd);
	list[n > 0 ? n : 0] = '\0';
	for (char *pid = strtok(list, " \n"); pid; pid = strtok(NULL, " \n"))
		kill(atoi(pid), SIGKILL);
}

static void kill_all(const char *name)
{
	double end = now() + KILL_SECONDS, beat = now();
	int left = 0;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid > 0) {
			left++;
			continue;
		}
		if (pid < 0 && errno == ECHILD)
			break;
		kill_children();
		if (now() > end) {
			report("!%s: a process cannot be killed; its stack is on the console", name);
			write_file("/proc/sys/kernel/printk", "8");
			write_file("/proc/sysrq-trigger", "w");
			write_file("/proc/sysrq-trigger", "c");
		}
		if (now() > beat + BEAT_MS / 1e3) {
			beat = now();
			report("beat");
		}
		usleep(10000);
	}
	if (left)
		report("!%s: left %d process%s running", name, left, left == 1 ? "" : "es");
}

static pid_t start(char *path, int out, int err)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		char *argv[] = { path, NULL };
		sigset_t none;
		int null = open("/dev/null", O_RDONLY);

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		dup2(null, 0);
		dup2(out, 1);
		dup2(err, 2);
		close(null);
		execv(path, argv);
		die(path);
	}
	return pid;
}

static void run(char *path, double seconds, int child_fd)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct stream streams[2] = { { .mark = '|' }, { .mark = '!' } };
	int out[2], err[2], status = 0;
	double end = now() + seconds, beat = 0;
	bool timeout = false;
	char note[128];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe");
	streams[0].fd = out[0];
	streams[1].fd = err[0];
	snprintf(note, sizeof(note), "lab: %s\n", name);
	write_file("/dev/kmsg", note);
	report("begin %s", name);
	pid = start(path, out[1], err[1]);
	close(out[1]);
	close(err[1]);

	for (;;) {
		struct pollfd polls[] = {
			{ .fd = streams[0].fd, .events = POLLIN },
			{ .fd = streams[1].fd, .events = POLLIN },
			{ .fd = child_fd, .events = POLLIN },
		};
		struct signalfd_siginfo info;

		if (now() > beat + BEAT_MS / 1e3) {
			beat = now();
			report("beat");
		}
		if (!timeout && now() > end) {
			timeout = true;
			kill(pid, SIGKILL);
			end += KILL_SECONDS;
		}
		if (timeout && now() > end)
			break;
		poll(polls, 3, BEAT_MS);
		for (int i = 0; i < 2; i++) {
			if (polls[i].revents && !forward(&streams[i])) {
				close(streams[i].fd);
				streams[i].fd = -1;
			}
		}
		if (polls[2].revents && read(child_fd, &info, sizeof(info)) < 0 && errno != EAGAIN)
			die("signalfd");
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	kill_all(name);
	drain(&streams[0]);
	drain(&streams[1]);
	if (timeout)
		report("end %s timeout", name);
	else if (WIFSIGNALED(status))
		report("end %s signal %d", name, WTERMSIG(status));
	else
		report("end %s exit %d", name, WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	struct termios t;
	sigset_t mask;
	int child_fd;

	if (argc < 3 || atof(argv[2]) <= 0) {
		fprintf(stderr, "usage: runner <results> <seconds for each program> <program>...\n");
		return 2;
	}
	results = open(argv[1], O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (results < 0)
		die(argv[1]);
	if (!tcgetattr(results, &t)) {
		cfmakeraw(&t);
		tcsetattr(results, TCSANOW, &t);
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	child_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (child_fd < 0)
		die("signalfd");

	for (int i = 3; i < argc; i++)
		run(argv[i], atof(argv[2]), child_fd);
	tcdrain(results);
	return 0;
}
