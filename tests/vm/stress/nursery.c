// SPDX-License-Identifier: MIT
/* The processes of the stress: it starts them, kills clients, and starts others. */
#define _GNU_SOURCE
#include "nursery.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"
#include "borrower.h"
#include "dma.h"
#include "keeper.h"
#include "sleeper.h"
#include "sysfs.h"
#include "watchdog.h"

enum kind { CLIENT, IMPORTER, OWNER, SLEEPER };

struct process {
	enum kind kind;
	unsigned int nr;	/* among those of its type */
	pid_t pid;		/* 0: none */
	uint64_t killed;	/* when, or 0 */
};

#define NR_PROCESSES	(NR_CLIENTS + NR_IMPORTERS + NR_OWNERS + 1)

static struct process processes[NR_PROCESSES];

static void become_client(void)
{
	const struct passwd *entry = getpwnam("client");

	if (!entry || setgroups(0, NULL) ||
	    setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) ||
	    setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid))
		board_fail(FAILED_OTHER, "cannot become user client: %s", strerrorname_np(errno));
}

static void start(struct process *p, struct random *random)
{
	uint64_t seed = random_next(random);
	pid_t parent = getpid();

	p->killed = 0;
	p->pid = fork();
	if (p->pid)
		return;
	if (p->kind == CLIENT)
		become_client();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	switch (p->kind) {
	case CLIENT:
		prctl(PR_SET_NAME, "client");
		borrower_run(WORKER_CLIENT + p->nr, seed);
	case IMPORTER:
		prctl(PR_SET_NAME, "importer");
		dma_run(WORKER_IMPORTER + p->nr, seed);
	case OWNER:
		prctl(PR_SET_NAME, board->devices[p->nr].name);
		keeper_run(p->nr, seed);
	case SLEEPER:
		prctl(PR_SET_NAME, "sleeper");
		sleeper_run(seed);
	}
	_exit(1);
}

static void start_all(struct random *random, bool sleeps)
{
	static const struct {
		enum kind kind;
		unsigned int nr;
	} kinds[] = {
		{ CLIENT, NR_CLIENTS }, { IMPORTER, NR_IMPORTERS }, { OWNER, NR_OWNERS }, { SLEEPER, 1 },
	};
	struct process *p = processes;
	unsigned int kind, nr;

	memset(processes, 0, sizeof(processes));
	for (kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		for (nr = 0; nr < kinds[kind].nr; nr++, p++) {
			p->kind = kinds[kind].kind;
			p->nr = nr;
			if (p->kind == IMPORTER && !board->importers)
				continue;
			if (p->kind == SLEEPER && !sleeps)
				continue;
			start(p, random);
		}
	}
}

static struct process *find(pid_t pid)
{
	struct process *p;

	for (p = processes; p < processes + NR_PROCESSES; p++)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* Processes that have died. Clients and importers are replaced, until the end. */
static bool reap(struct random *random)
{
	struct process *p;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		p = find(pid);
		if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
		    !board->failed)
			board_fail(FAILED_OTHER, "%s process %d ended with status %#x",
				   p ? "a" : "a client's", pid, status);
		if (!p)
			continue;
		p->pid = 0;
		if (p->kind == CLIENT)
			memset(&board->workers[WORKER_CLIENT + p->nr], 0, sizeof(struct worker));
		if (p->kind == IMPORTER)
			memset(&board->workers[WORKER_IMPORTER + p->nr], 0, sizeof(struct worker));
		if (board->stop)
			continue;
		if (p->kind == CLIENT || p->kind == IMPORTER)
			start(p, random);
		else
			board_fail(FAILED_OTHER, "an owner or the sleeper ended early, with status %#x", status);
	}
	return pid < 0 && errno == ECHILD;
}

static void kill_one(struct random *random)
{
	struct process *p = &processes[random_below(random, NR_CLIENTS + NR_IMPORTERS)];

	if (!p->pid || p->killed || (p->kind == IMPORTER && random_chance(random, 70)))
		return;
	kill(p->pid, SIGKILL);
	p->killed = board_now();
	operation_count(OP_KILL, 1);
}

/* One that has been killed dies. */
static void look_at_killed(void)
{
	struct process *p;

	for (p = processes; p < processes + NR_PROCESSES; p++) {
		if (!p->pid || !p->killed ||
		    board_now() - p->killed < watchdog_patience() * 1000000000ULL)
			continue;
		board_fail(FAILED_HANG, "process %d does not die of SIGKILL", p->pid);
		watchdog_show(p->pid);
		p->killed = board_now();
	}
}

/* Children of clients are among them: the kernel makes this process their parent. */
static void show_children(void)
{
	char text[8192], *rest = text, *word;

	if (file_read("/proc/thread-self/children", text, sizeof(text)) <= 0)
		return;
	while ((word = strsep(&rest, " \n")))
		if (*word)
			watchdog_show(atoi(word));
}

static void wait_for_end(struct random *random)
{
	uint64_t start = board_now();

	while (!reap(random)) {
		if (board_now() - start > (board->failures[FAILED_HANG] ? 2 : 1) *
		    watchdog_patience() * 1000000000ULL) {
			board_fail(FAILED_HANG, "processes do not end");
			show_children();
			return;
		}
		usleep(10000);
	}
}

void nursery_run(struct random *random, unsigned int seconds, bool sleeps)
{
	uint64_t end = board_now() + seconds * 1000000000ULL;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	start_all(random, sleeps);
	while (!board->stop && board_now() < end) {
		usleep(20000);
		reap(random);
		if (random_chance(random, 15))
			kill_one(random);
		look_at_killed();
		watchdog_look();
	}
	board->stop = true;
	wait_for_end(random);
}
