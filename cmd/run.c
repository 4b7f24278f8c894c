/* SPDX-License-Identifier: MIT */
/*
 * vfio-dmabuf run: a program with slices.
 *
 * The program receives the slices as fds from 3 on, and their description in its
 * environment.  This process stays its parent: the leases last as long as our
 * connection, and the connection must end with the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "command.h"
#include "common/names.h"
#include "output.h"
#include "target.h"

#define MAX		16
#define FIRST_FD	3
#define TOLD_USEC	10000000	/* wait for the broker to report why a lease has ended */

static struct {
	struct {
		struct target target;
		unsigned int flags;
		const char *text;
	} slices[MAX];
	int nr;
	uint64_t seconds;
	uint32_t wait_ms;
	char **program;		/* with its arguments */
} args;

static struct vdb_lease leases[MAX];

static const struct argp_option options[] = {
	{ "slice", 's', "SLICE[,ro]", 0, "a slice to lease: device/slice, device/slice[3]; can be repeated", 0 },
	{ "wait", 'w', "TIME", OPTION_ARG_OPTIONAL, "wait for slices that others have, for TIME (30s, 5m) or without a limit", 0 },
	{ "time", 't', "TIME", 0, "the time after which the leases expire; without it, they last as long as the program", 0 },
	{ 0 }
};

static void parse_slice(char *arg, struct argp_state *state)
{
	char *comma = strchr(arg, ',');

	if (args.nr == MAX)
		argp_error(state, "at most %d slices are allowed", MAX);
	if (comma) {
		if (strcmp(comma, ",ro"))
			argp_error(state, "\"%s\": only \",ro\" can follow a slice", arg);
		*comma = '\0';
		args.slices[args.nr].flags = VDB_FLAG_READ_ONLY;
	}
	args.slices[args.nr].text = arg;
	if (!parse_target(arg, &args.slices[args.nr].target) || args.slices[args.nr].target.direct)
		argp_error(state, "\"%s\" is not a slice; vfio-dmabuf slices lists them", arg);
	args.nr++;
}

/* @limit: in seconds. */
static uint64_t parse_time(const char *arg, uint64_t limit, struct argp_state *state)
{
	uint64_t seconds;

	if (!parse_seconds(arg, &seconds) || !seconds)
		argp_error(state, "\"%s\" is not a time; write seconds, or 30s, 5m, 2h, 1d", arg);
	if (seconds > limit)
		argp_error(state, "%s is too long; %" PRIu64 "d are allowed", arg, limit / 86400);
	return seconds;
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
		args.seconds = parse_time(arg, UINT32_MAX, state);
		return 0;
	case 'w':
		args.wait_ms = arg ? parse_time(arg, UINT32_MAX / 1000, state) * 1000 : UINT32_MAX;
		return 0;
	case ARGP_KEY_ARGS:
		args.program = state->argv + state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "give a program to run after --");
		return 0;
	case ARGP_KEY_END:
		if (!args.nr)
			argp_error(state, "give the slices with --slice");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Two of each slice, and after all of these those of memory and interrupts. */
static int nr_fds(void)
{
	int nr = 2 * args.nr;

	for (int i = 0; i < args.nr; i++)
		nr += (leases[i].memory != NULL) + (leases[i].interrupt >= 0);
	return nr;
}

/* What the device reaches by DMA; null: none.  @fd: the next, which is increased. */
static json_t *json_memory(const struct vdb_slice *memory, int *fd)
{
	if (!memory)
		return json_null();
	return json_pack("{s:i,s:I,s:I}", "fd", (*fd)++, "iova", (json_int_t)vdb_slice_iova(memory),
			 "length", (json_int_t)vdb_slice_length(memory));
}

/*
 * VFIO_DMABUF_SLICES is a JSON array with one object for each slice, in the order of
 * the command line.  VFIO_DMABUF_FDS is the number of fds, from 3 on.
 */
static void set_environment(void)
{
	json_t *list = json_array();
	int next = FIRST_FD + 2 * args.nr;
	char number[16], *text;

	for (int i = 0; i < args.nr; i++) {
		const struct vdb_slice *slice = leases[i].slice;
		json_t *memory = json_memory(leases[i].memory, &next);

		json_array_append_new(list, json_pack(
			"{s:s,s:I,s:i,s:i,s:s,s:i,s:I,s:I,s:b,s:b,s:o,s:o}",
			"name", args.slices[i].target.slice, "index", (json_int_t)leases[i].index,
			"fd", FIRST_FD + 2 * i, "event_fd", FIRST_FD + 2 * i + 1,
			"bdf", vdb_slice_bdf(slice), "bar", vdb_slice_bar(slice),
			"offset", (json_int_t)vdb_slice_offset(slice),
			"length", (json_int_t)vdb_slice_length(slice),
			"read_only", vdb_slice_flags(slice) & VDB_FLAG_READ_ONLY,
			"write_combining", vdb_slice_flags(slice) & VDB_FLAG_WC,
			"memory", memory,
			"interrupt", leases[i].interrupt < 0 ? json_null() : json_integer(next++)));
	}
	text = json_dumps(list, JSON_COMPACT);
	setenv("VFIO_DMABUF_SLICES", text, 1);
	snprintf(number, sizeof(number), "%d", nr_fds());
	setenv("VFIO_DMABUF_FDS", number, 1);
	free(text);
	json_decref(list);
}

/* Moves the fds to their numbers, which must not be those of our other fds. */
static int place_fds(void)
{
	int high[4 * MAX], nr = nr_fds(), next = 2 * args.nr;

	for (int i = 0; i < args.nr; i++) {
		high[2 * i] = fcntl(vdb_slice_fd(leases[i].slice), F_DUPFD_CLOEXEC, FIRST_FD + nr);
		high[2 * i + 1] = fcntl(vdb_slice_event_fd(leases[i].slice), F_DUPFD_CLOEXEC, FIRST_FD + nr);
		if (leases[i].memory)
			high[next++] = fcntl(vdb_slice_fd(leases[i].memory), F_DUPFD_CLOEXEC, FIRST_FD + nr);
		if (leases[i].interrupt >= 0)
			high[next++] = fcntl(leases[i].interrupt, F_DUPFD_CLOEXEC, FIRST_FD + nr);
	}
	for (int i = 0; i < nr; i++)
		if (high[i] < 0 || dup2(high[i], FIRST_FD + i) < 0)
			return fail("the program needs %d open files from 3 on, and this command the same number besides; raise the limit (ulimit -n)", nr);
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

/* ---- while it runs ---- */

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

struct supervision {
	struct vdb_client *client;
	sd_event *loop;
	sd_event_source *broker, *timer;
	pid_t pid;
	bool any_ended;		/* a lease */
	bool has_died;		/* perhaps because of a revocation that is not reported yet */
	int status;		/* to exit with */
};

/* False if the connection has ended, so that no more events come. */
static bool tell_events(struct supervision *run)
{
	struct vdb_event event;
	int ret;

	while ((ret = vdb_client_next(run->client, &event)) > 0) {
		for (int i = 0; i < args.nr; i++) {
			if (leases[i].id != event.lease || event.state != VDB_STATE_REVOKED)
				continue;
			fail("%s: the lease has ended: %s", args.slices[i].text, end_text(event.end) ?: "the broker's log says why");
			run->any_ended = true;
			leases[i].seconds = 0;
		}
	}
	if (ret < 0)
		fail("%s", vdb_client_error(run->client));
	return ret >= 0;
}

static int on_broker(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct supervision *run = data;
	bool goes_on = tell_events(run);

	(void)fd, (void)events;
	/* The connection has ended: no more events come from it. */
	if (!goes_on)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (run->has_died && (run->any_ended || !goes_on))
		sd_event_exit(run->loop, run->status);
	return 0;
}

static void set_timer(struct supervision *run, uint64_t usec)
{
	sd_event_source_set_time_relative(run->timer, usec);
	sd_event_source_set_enabled(run->timer, SD_EVENT_ONESHOT);
}

/* Renews the leases, and sets the timer for the next renewal. */
static void renew(struct supervision *run)
{
	int64_t shortest = INT64_MAX;

	for (int i = 0; i < args.nr; i++) {
		int64_t seconds;

		if (!leases[i].seconds)
			continue;
		/* If it has ended meanwhile, its event reports that. */
		seconds = vdb_client_renew(run->client, leases[i].id, 0);
		leases[i].seconds = seconds > 0 ? seconds : 0;
		if (leases[i].seconds && seconds < shortest)
			shortest = seconds;
	}
	/* After half of the time, which can be half a second. */
	if (shortest < INT64_MAX)
		set_timer(run, shortest * 500000);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct supervision *run = data;

	(void)source, (void)usec;
	if (run->has_died)
		sd_event_exit(run->loop, run->status);
	else
		renew(run);
	return 0;
}

/* A terminal sends its signals to the program as well. */
static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	const struct supervision *run = data;

	(void)source;
	if (info->ssi_code != SI_KERNEL && !run->has_died)
		kill(run->pid, info->ssi_signo);
	return 0;
}

/* A lease ends with that, before the broker reports it. */
static bool any_is_revoked(void)
{
	for (int i = 0; i < args.nr; i++)
		if (vdb_slice_state(leases[i].slice, NULL) == VDB_STATE_REVOKED)
			return true;
	return false;
}

/* The status is the one that a shell would exit with. */
static int on_end(sd_event_source *source, const siginfo_t *info, void *data)
{
	struct supervision *run = data;

	(void)source;
	run->status = info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status;
	run->has_died = true;
	/* A program can end because of a revocation before the broker has notified us of it. */
	if (run->status && !run->any_ended && any_is_revoked() && tell_events(run) && !run->any_ended)
		set_timer(run, TOLD_USEC);
	else
		sd_event_exit(run->loop, run->status);
	return 0;
}

/* Prepares everything except the program, which is not started yet.  Less than 0: minus errno. */
static int prepare(struct supervision *run)
{
	int ret = sd_event_new(&run->loop);

	for (size_t i = 0; ret >= 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		ret = sd_event_add_signal(run->loop, NULL, signals[i], on_signal, run);
	if (ret >= 0)
		ret = sd_event_add_io(run->loop, &run->broker, vdb_client_fd(run->client), EPOLLIN, on_broker, run);
	if (ret >= 0)
		ret = sd_event_add_time_relative(run->loop, &run->timer, CLOCK_MONOTONIC, 0, 1, on_timer, run);
	if (ret >= 0)
		ret = sd_event_source_set_enabled(run->timer, SD_EVENT_OFF);
	return ret;
}

/* Passes signals on and renews leases until the program has ended; returns its exit status. */
static int supervise(struct supervision *run)
{
	int ret = sd_event_add_child(run->loop, NULL, run->pid, WEXITED, on_end, run);

	/* Leases with a time that the user has given are not renewed. */
	if (!args.seconds)
		renew(run);
	if (ret >= 0)
		ret = sd_event_loop(run->loop);
	return ret < 0 ? fail("waiting for %s failed: %s", args.program[0], strerror(-ret)) : ret;
}

static void block_signals(sigset_t *former)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, former);
}

/* Acquires the slices and runs the program; returns its exit status. */
static int run(struct vdb_client *client)
{
	struct supervision supervision = { .client = client };
	sigset_t former;
	int ret;

	for (int i = 0; i < args.nr; i++)
		if (vdb_client_acquire(client, args.slices[i].target.slice, args.slices[i].target.index,
				       args.slices[i].flags, args.seconds, args.wait_ms, &leases[i]))
			return fail("%s: %s", args.slices[i].text, vdb_client_error(client));
	block_signals(&former);
	ret = prepare(&supervision);
	if (ret < 0) {
		ret = fail("%s cannot be run: %s", args.program[0], strerror(-ret));
	} else {
		supervision.pid = start(args.program, &former);
		ret = supervision.pid < 0 ? fail("%s: %s", args.program[0], strerror(errno)) :
		      supervise(&supervision);
	}
	sd_event_source_unref(supervision.broker);
	sd_event_source_unref(supervision.timer);
	sd_event_unref(supervision.loop);
	return ret;
}

int cmd_run(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "-- PROGRAM [ARGUMENT...]",
		.children = common_options,
		.doc = "Runs a program with slices of the broker."
		       "\vThe environment variable VFIO_DMABUF_SLICES describes the program's fds; see vfio-dmabuf(1).",
	};
	struct vdb_client *client;
	int status;

	parse_command(&argp, argc, argv, ARGP_IN_ORDER, NULL);
	client = connect_broker();
	if (!client)
		return STATUS_FAILED;
	for (int i = 0; i < args.nr; i++)
		leases[i].interrupt = -1;
	status = run(client);
	for (int i = 0; i < args.nr; i++) {
		vdb_slice_free(leases[i].slice);
		vdb_slice_free(leases[i].memory);
		if (leases[i].interrupt >= 0)
			close(leases[i].interrupt);
	}
	vdb_client_close(client);
	return status;
}
