/* SPDX-License-Identifier: MIT */
/* Limits of processes that a driver in user space can exceed. */
#ifndef CMD_DOCTOR_PROCESS_LIMITS_H
#define CMD_DOCTOR_PROCESS_LIMITS_H

#include <sys/resource.h>

#include "findings.h"

/* @may_lock: the process has CAP_IPC_LOCK, so the limit does not apply. */
void judge_memlock(rlim_t limit, bool may_lock, struct findings *findings);
void judge_nofile(const struct rlimit *limit, struct findings *findings);
void check_limits(struct findings *findings);

#endif
