// SPDX-License-Identifier: MIT
/* Finds operations that do not end, and prints where they are. */
#define _GNU_SOURCE
#include "watchdog.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "sysfs.h"

#define PATIENCE_S	20

unsigned int watchdog_patience(void)
{
	const char *slower = getenv("CK_TIMEOUT_MULTIPLIER");

	return PATIENCE_S * (slower && atoi(slower) > 0 ? atoi(slower) : 1);
}

static void show_file(pid_t pid, const char *tid, const char *file)
{
	char path[128], text[4096], *rest = text, *line;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, tid, file);
	if (file_read(path, text, sizeof(text)) <= 0)
		return;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			printf("# %d/%s %s: %s\n", pid, tid, file, line);
}

void watchdog_show(pid_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return;
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		show_file(pid, entry->d_name, "comm");
		show_file(pid, entry->d_name, "syscall");
		show_file(pid, entry->d_name, "stack");
	}
	closedir(tasks);
}

void watchdog_show_all(void)
{
	unsigned int i;

	for (i = 0; i < NR_WORKERS; i++)
		if (board->workers[i].pid && (!i || board->workers[i].pid != board->workers[i - 1].pid))
			watchdog_show(board->workers[i].pid);
}

bool watchdog_look(void)
{
	uint64_t now = board_now(), since;
	struct worker *w;

	for (w = board->workers; w < board->workers + NR_WORKERS; w++) {
		since = w->since;
		if (!since || now < since || now - since < watchdog_patience() * 1000000000ULL)
			continue;
		board_fail(FAILED_HANG, "\"%s\" of thread %d of process %d takes more than %u s",
			   operation_name(w->op), w->tid, w->pid, watchdog_patience());
		watchdog_show_all();
		return false;
	}
	return true;
}
