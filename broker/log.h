/* SPDX-License-Identifier: MIT */
/* The broker's log: one line, one event. */
#ifndef BROKER_LOG_H
#define BROKER_LOG_H

#include <syslog.h>
#include <time.h>

/* @priority as for syslog(): LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG. */
__attribute__((format(printf, 2, 3)))
void log_line(int priority, const char *format, ...);

/* Of what any client can cause, as often as it likes, the log is told ten times a minute. */
struct log_limit {
	struct timespec begin;
	unsigned int lines;
};
__attribute__((format(printf, 3, 4)))
void log_limited(struct log_limit *limit, int priority, const char *format, ...);

/* Lines of this priority and more important ones; LOG_INFO at first. */
void log_set_level(int priority);

#endif
