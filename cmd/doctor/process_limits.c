/* SPDX-License-Identifier: MIT */
/* Limits of processes that a driver in user space can exceed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process_limits.h"
#include "output.h"
#include "whole_file.h"

#define CAP_IPC_LOCK	14

/* Enough for the buffers of a few queues; DPDK and SPDK start with as much. */
#define ENOUGH_MEMORY	(64UL << 20)
/* A watched slice has two fds, and a device has three. */
#define ENOUGH_FILES	1024

/* Mappings of BARs are not locked memory; buffers for DMA are. */
void judge_memlock(rlim_t limit, bool may_lock, struct findings *findings)
{
	if (may_lock || limit == RLIM_INFINITY) {
		found(findings, "memlock", GOOD, "memory for DMA is not limited%s", may_lock ? " for this user" : "");
	} else if (limit < ENOUGH_MEMORY) {
		found(findings, "memlock", WARNING, "memory for DMA is limited to %s", human_size(limit));
		advise(findings, "if a driver needs more: ulimit -l, memlock in /etc/security/limits.conf, or LimitMEMLOCK= of its service");
	} else {
		found(findings, "memlock", GOOD, "memory for DMA is limited to %s", human_size(limit));
	}
}

void judge_nofile(const struct rlimit *limit, struct findings *findings)
{
	if (limit->rlim_cur >= ENOUGH_FILES) {
		found(findings, "nofile", GOOD, "a process can have enough files open");
		return;
	}
	found(findings, "nofile", WARNING, "a process can have %llu files open; each slice needs one or two",
	      (unsigned long long)limit->rlim_cur);
	if (limit->rlim_max >= ENOUGH_FILES)
		advise(findings, "if a program needs more: ulimit -n, or LimitNOFILE= of its service");
	else
		advise(findings, "if a program needs more: nofile in /etc/security/limits.conf, or LimitNOFILE= of its service");
}

static bool may_lock(void)
{
	char *status = whole_file("/proc/self/status", NULL);
	const char *line = status ? strstr(status, "\nCapEff:") : NULL;
	bool may = line && strtoull(line + 8, NULL, 16) >> CAP_IPC_LOCK & 1;

	free(status);
	return may;
}

void check_limits(struct findings *findings)
{
	struct rlimit limit;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	judge_memlock(limit.rlim_cur, may_lock(), findings);
	getrlimit(RLIMIT_NOFILE, &limit);
	judge_nofile(&limit, findings);
}
