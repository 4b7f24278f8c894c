/* SPDX-License-Identifier: MIT */
/*
 * vfio-dmabuf run: a program with slices.
 *
 * The program gets the slices as fds from 3 on, and is told of them in its
 * environment.  We stay its parent: the leases live as long as our connection,
 * and that has to end with the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "common/names.h"
#include "output.h"
#include "target.h"

#define MAX		16
#define FIRST_FD	3
#define TOLD_MS		2000	/* in which the broker tells why a program has died */

static struct {
	struct {
		struct target target;
		unsigned int flags;
		const char *text;
	} slices[MAX];
	int nr;
	uint64_t seconds;
	uint64_t wait;		/* seconds */
	char **program;		/* with its arguments */
} args;

static struct vdb_lease leases[MAX];

static const struct argp_option options[] = {
	{ "slice", 's', "SLICE[,ro]", 0, "a slice to have: device/slice, device/slice[3]; may be repeated", 0 },
	{ "wait", 'w', "SECONDS", 0, "how long to wait for slices that others have; else not at all", 0 },
	{ "time", 't', "SECONDS", 0, "how long to have them; else as long as the program runs", 0 },
	{ 0 }
};

static void parse_slice(char *arg, struct argp_state *state)
{
	char *comma = strchr(arg, ',');

	if (args.nr == MAX)
		argp_error(state, "%d slices at most", MAX);
	if (comma) {
		if (strcmp(comma, ",ro"))
			argp_error(state, "\"%s\": only \",ro\" may follow a slice", arg);
		*comma = '\0';
		args.slices[args.nr].flags = VDB_FLAG_READ_ONLY;
	}
	args.slices[args.nr].text = arg;
	if (!parse_target(arg, &args.slices[args.nr].target) || args.slices[args.nr].target.direct)
		argp_error(state, "\"%s\" is no slice; vfio-dmabuf slices lists them", arg);
	args.nr++;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case 's':
		parse_slice(arg, state);
		return 0;
	case 't':
		if (!parse_number(arg, &args.seconds) || args.seconds > UINT32_MAX)
			argp_error(state, "\"%s\" is no number of seconds", arg);
		return 0;
	case 'w':
		if (!parse_number(arg, &args.wait) || args.wait > UINT32_MAX / 1000)
			argp_error(state, "\"%s\" is not a number of seconds up to %u", arg, UINT32_MAX / 1000);
		return 0;
	case ARGP_KEY_ARGS:
		args.program = state->argv + state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which program?");
		return 0;
	case ARGP_KEY_END:
		if (!args.nr)
			argp_error(state, "which slices? Name them with --slice");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/*
 * VFIO_DMABUF_SLICES is a JSON array, one object for each slice in the order of
 * the command line; VFIO_DMABUF_FDS is how many fds there are from 3 on.
 */
static void set_environment(void)
{
	json_t *list = json_array();
	char number[16], *text;

	for (int i = 0; i < args.nr; i++) {
		const struct vdb_slice *slice = leases[i].slice;

		json_array_append_new(list, json_pack(
			"{s:s,s:I,s:i,s:i,s:s,s:i,s:I,s:I,s:b,s:b}",
			"name", args.slices[i].target.slice, "index", (json_int_t)leases[i].index,
			"fd", FIRST_FD + 2 * i, "event_fd", FIRST_FD + 2 * i + 1,
			"bdf", vdb_slice_bdf(slice), "bar", vdb_slice_bar(slice),
			"offset", (json_int_t)vdb_slice_offset(slice),
			"length", (json_int_t)vdb_slice_length(slice),
			"read_only", vdb_slice_flags(slice) & VDB_FLAG_READ_ONLY,
			"write_combining", vdb_slice_flags(slice) & VDB_FLAG_WC));
	}
	text = json_dumps(list, JSON_COMPACT);
	setenv("VFIO_DMABUF_SLICES", text, 1);
	snprintf(number, sizeof(number), "%d", 2 * args.nr);
	setenv("VFIO_DMABUF_FDS", number, 1);
	free(text);
	json_decref(list);
}

/* The fds to where they belong; none of ours may be in the way. */
static int place_fds(void)
{
	int high[2 * MAX], nr = 2 * args.nr;

	for (int i = 0; i < args.nr; i++) {
		high[2 * i] = fcntl(vdb_slice_fd(leases[i].slice), F_DUPFD_CLOEXEC, FIRST_FD + nr);
		high[2 * i + 1] = fcntl(vdb_slice_event_fd(leases[i].slice), F_DUPFD_CLOEXEC, FIRST_FD + nr);
	}
	for (int i = 0; i < nr; i++)
		if (high[i] < 0 || dup2(high[i], FIRST_FD + i) < 0)
			return fail("there is no room for %d fds from 3 on, and as many beside them; see ulimit -n", nr);
	return 0;
}

static pid_t start(char **argv, const sigset_t *former)
{
	pid_t pid = fork();
	int error;

	if (pid)
		return pid;
	set_environment();
	if (place_fds())
		_exit(STATUS_FAILED);
	sigprocmask(SIG_SETMASK, former, NULL);
	execvp(argv[0], argv);
	error = errno;
	fail("%s: %s", argv[0], strerror(error));
	_exit(error == ENOENT ? 127 : 126);
}

static bool any_ended;

/* False if there is nobody any more who tells. */
static bool tell_events(struct vdb_client *client)
{
	struct vdb_event event;
	int ret;

	while ((ret = vdb_client_next(client, &event)) > 0) {
		for (int i = 0; i < args.nr; i++) {
			if (leases[i].id != event.lease || event.state != VDB_STATE_REVOKED)
				continue;
			fail("%s: the lease has ended: %s", args.slices[i].text, end_text(event.end) ?: "the broker's log says why");
			any_ended = true;
			leases[i].seconds = 0;
		}
	}
	if (ret < 0)
		fail("%s", vdb_client_error(client));
	return ret >= 0;
}

/* What a shell makes of its status. */
static int exit_status(int status, struct vdb_client *client)
{
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	/* The program dies of a revocation before the broker has told us of it. */
	while (WTERMSIG(status) == SIGBUS && tell_events(client) && !any_ended && poll(&p, 1, TOLD_MS) == 1)
		;
	return 128 + WTERMSIG(status);
}

/* Has the leases last on, and sets the timer for the next time. */
static void renew(struct vdb_client *client, int timer)
{
	struct itimerspec next = { 0 };
	int64_t shortest = INT64_MAX;

	for (int i = 0; i < args.nr; i++) {
		int64_t seconds;

		if (!leases[i].seconds)
			continue;
		/* If it has ended meanwhile its event will tell. */
		seconds = vdb_client_renew(client, leases[i].id, 0);
		leases[i].seconds = seconds > 0 ? seconds : 0;
		if (leases[i].seconds && seconds < shortest)
			shortest = seconds;
	}
	/* In half of the time, which may be half a second. */
	if (shortest < INT64_MAX) {
		next.it_value.tv_sec = shortest / 2;
		next.it_value.tv_nsec = shortest % 2 * 500000000;
	}
	timerfd_settime(timer, 0, &next, NULL);
}

/* Passes signals on, and renews leases, until it has ended; its exit status. */
static int supervise(pid_t pid, struct vdb_client *client, int signals, int timer)
{
	struct pollfd polls[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = vdb_client_fd(client), .events = POLLIN },
		{ .fd = timer, .events = POLLIN },
	};
	int status;

	/* Who has said how long to have them has them no longer. */
	if (!args.seconds)
		renew(client, timer);
	for (;;) {
		struct signalfd_siginfo info;

		if (waitpid(pid, &status, WNOHANG) == pid)
			return exit_status(status, client);
		poll(polls, 3, -1);
		/* What a terminal sends has come to the program as well. */
		if (polls[0].revents && read(signals, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL)
			kill(pid, info.ssi_signo);
		/* Gone for good: nothing more will come from there. */
		if (polls[1].revents && !tell_events(client))
			polls[1].fd = -1;
		if (polls[2].revents)
			renew(client, timer);
	}
}

static int block_signals(sigset_t *former)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, former);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Acquires what was asked for and runs the program; its exit status. */
static int run(struct vdb_client *client)
{
	int signals, timer;
	sigset_t former;
	pid_t pid;

	for (int i = 0; i < args.nr; i++)
		if (vdb_client_acquire(client, args.slices[i].target.slice, args.slices[i].target.index,
				       args.slices[i].flags, args.seconds, args.wait * 1000, &leases[i]))
			return fail("%s: %s", args.slices[i].text, vdb_client_error(client));
	signals = block_signals(&former);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (signals < 0 || timer < 0)
		return fail("%s is not run: %s", args.program[0], strerror(errno));
	pid = start(args.program, &former);
	if (pid < 0)
		return fail("%s: %s", args.program[0], strerror(errno));
	return supervise(pid, client, signals, timer);
}

int cmd_run(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "-- PROGRAM [ARGUMENT...]",
		.children = common_options,
		.doc = "Runs a program with slices of the broker."
		       "\vIts fds are described in the environment variable VFIO_DMABUF_SLICES; see vfio-dmabuf(1).",
	};
	struct vdb_client *client;
	int status;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, NULL);
	client = connect_broker();
	if (!client)
		return STATUS_FAILED;
	status = run(client);
	for (int i = 0; i < args.nr; i++)
		vdb_slice_free(leases[i].slice);
	vdb_client_close(client);
	return status;
}
