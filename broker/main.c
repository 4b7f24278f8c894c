/* SPDX-License-Identifier: MIT */
/* vfio-dmabufd: arguments, signals, the loop. */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <vfio-dmabuf.h>

#include "connections/watch.h"
#include "shell/journal.h"
#include "shell/journal_socket.h"
#include "shell/reload.h"
#include "shell/shell.h"
#include "shell/start.h"
#include "state/manager.h"

#define CONFIG		SYSCONFDIR "/vfio-dmabuf"
#define MAX_EVENTS	64

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "read FILE, not " CONFIG "/vfio-dmabufd.yaml", 0 },
	{ "config-dir", 'd', "DIR", 0, "read DIR/*.yaml as well, not " CONFIG "/conf.d", 0 },
	{ "socket", 's', "PATH", 0, "listen at PATH if no socket was passed", 0 },
	{ "check", 'n', NULL, 0, "only read the configuration; exit with 1 if it has mistakes", 0 },
	{ "verbose", 'v', NULL, 0, "log more", 0 },
	{ 0 }
};

static bool only_check;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct shell *shell = state->input;

	switch (key) {
	case 'c':
		shell->config_file = arg;
		return 0;
	case 'd':
		shell->config_dir = arg;
		return 0;
	case 's':
		shell->socket_path = arg;
		return 0;
	case 'n':
		only_check = true;
		return 0;
	case 'v':
		journal_set_level(LOG_DEBUG);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What the loop waits for besides connections. */

static struct shell shell = {
	.config_file = CONFIG "/vfio-dmabufd.yaml",
	.config_dir = CONFIG "/conf.d",
	.socket_path = VDB_BROKER_SOCKET,
};
static bool ending;
static bool devices_changed;	/* perhaps */
static int signals;

static void on_signal(struct watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)watch, (void)events;
	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		reload_begin(&shell);
	else
		ending = true;
}

static void on_timer(struct watch *watch, uint32_t events)
{
	uint64_t times;

	(void)watch, (void)events;
	if (read(shell.timer, &times, sizeof(times)) == sizeof(times))
		shell_handle(&shell, &(struct event){ .type = EVENT_TIME });
	devices_changed = true;
}

static void on_news(struct watch *watch, uint32_t events)
{
	(void)watch, (void)events;
	devices_look(shell.devices);
}

static void on_manager(struct watch *watch, uint32_t events)
{
	(void)watch, (void)events;
	shell_go_on(&shell);
}

static void on_journal(struct watch *watch, uint32_t events)
{
	(void)watch, (void)events;
	journal_socket_go_on();
}

static void on_reading(struct watch *watch, uint32_t events)
{
	(void)watch, (void)events;
	reload_end(&shell);
}

/* Results are taken before each wait. */
static void on_results(struct watch *watch, uint32_t events)
{
	(void)watch, (void)events;
}

static int add(int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return fd < 0 ? -1 : epoll_ctl(shell.epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Each connection needs two. Fds of slices that are in flight to clients count as well. */
static void raise_limit_of_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int prepare(void)
{
	static struct watch on_signals = { .on_event = on_signal };
	static struct watch on_time = { .on_event = on_timer };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Before threads start, because they inherit it. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	shell.epoll = epoll_create1(EPOLL_CLOEXEC);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	shell.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	return add(signals, EPOLLIN, &on_signals) || add(shell.timer, EPOLLIN, &on_time) ? -1 : 0;
}

static int watch_more(void)
{
	static struct watch reading = { .on_event = on_reading };
	static struct watch news = { .on_event = on_news };
	static struct watch results = { .on_event = on_results };
	static struct watch manager = { .on_event = on_manager };
	static struct watch journal = { .on_event = on_journal };

	if ((manager_fd() >= 0 && add(manager_fd(), EPOLLOUT | EPOLLET, &manager)) ||
	    (journal_socket_fd() >= 0 && add(journal_socket_fd(), EPOLLOUT | EPOLLET, &journal)))
		return -1;
	return add(devices_fd(shell.devices), EPOLLIN | EPOLLET, &results) ||
	       add(devices_watch_fd(shell.devices), EPOLLIN, &news) ||
	       add(shell.reload.reading.fd, EPOLLIN, &reading) ? -1 : 0;
}

/* The loop. */

static bool take_results(void)
{
	struct event event;
	bool any = false;

	while (devices_next(shell.devices, &event)) {
		shell_handle(&shell, &event);
		/*
		 * A failed revocation changes the device as well, but EVENT_CLOSED then
		 * follows.
		 */
		devices_changed |= event.type != EVENT_EXPORTED && event.type != EVENT_REVOKED;
		any = true;
	}
	return any;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The time of the next work if no event comes; CLOCK_BOOTTIME. */
static uint64_t work(void)
{
	uint64_t until;

	reload_work(&shell);
	take_results();
	do
		until = connections_work(shell.connections, shell.now);
	while (take_results());
	if (devices_changed)
		shell_show_status(&shell);
	devices_changed = false;
	until = earlier(shell.reload.deadline, until);
	return earlier(metrics_work(shell.metrics), until);
}

static int milliseconds(uint64_t until)
{
	uint64_t left;

	if (until == UINT64_MAX)
		return -1;
	left = until > shell.now ? until - shell.now : 0;
	return left >= 1000000000 ? 1000000 : (left + 999) / 1000;
}

/* When it is to be called again; @period: 0: there is none. */
static uint64_t feed_watchdog(uint64_t period)
{
	static uint64_t next;

	if (!period)
		return UINT64_MAX;
	/* If the manager has no room, it hears from us when it reads again. */
	if (shell.now >= next)
		next = shell.now + (manager_send("WATCHDOG=1", -1) ? period / 8 : period / 2);
	return next;
}

/* One event makes one round, and each round does only what is needed. */
static void loop(void)
{
	uint64_t period = 0;

	if (sd_watchdog_enabled(0, &period) <= 0)
		period = 0;
	while (!ending) {
		struct epoll_event events[MAX_EVENTS];
		uint64_t until = earlier(work(), feed_watchdog(period));
		int nr = epoll_wait(shell.epoll, events, MAX_EVENTS, milliseconds(until));

		shell_tick(&shell);
		for (int i = 0; i < nr; i++) {
			struct watch *watch = events[i].data.ptr;

			watch->on_event(watch, events[i].events);
		}
	}
}

/*
 * The fds in the store stay there.  This does not wait for workers, or for a reading of
 * the configuration: they may hang, and they end with the process.  They use nothing that
 * is freed here.
 */
static void end(void)
{
	metrics_free(shell.metrics);
	if (shell.connections)
		connections_free(shell.connections);
	if (shell.core)
		core_free(shell.core);
	state_free(shell.state);
	settings_free(shell.settings);
	reload_free(&shell.reload);
	listings_free(&shell.listings);
	absences_free(&shell.absences);
}

static void print(void *context, const char *line)
{
	(void)context;
	fprintf(stderr, "vfio-dmabufd: %s\n", line);
}

static int check(void)
{
	struct settings *settings = settings_read(shell.config_file, shell.config_dir,
						  &system_names, print, NULL);

	settings_free(settings);
	return settings ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Leases slices of PCI devices' BARs to clients.",
	};
	int ret = EXIT_FAILURE;

	argp_parse(&argp, argc, argv, 0, NULL, &shell);
	if (only_check)
		return check();
	raise_limit_of_fds();
	/* A client can remove huge pages that a driver writes to; see nvme_queue_end(). */
	vdb_guard_enable();
	if (prepare()) {
		journal_line(LOG_ERR, "the event loop cannot be made: %m");
	} else if (start(&shell)) {
		/* It has said why. */
	} else if (watch_more()) {
		journal_line(LOG_ERR, "devices and readings of the configuration cannot be watched: %m");
	} else {
		shell_show_status(&shell);
		sd_notify(0, "READY=1");
		loop();
		manager_send("STOPPING=1", -1);
		ret = EXIT_SUCCESS;
	}
	end();
	return ret;
}
