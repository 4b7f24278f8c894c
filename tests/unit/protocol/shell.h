/* SPDX-License-Identifier: MIT */
/*
 * A small broker in a thread of the test: the core, the protocol and sockets,
 * with a device on which everything works at once.
 */
#ifndef TESTS_PROTOCOL_SHELL_H
#define TESTS_PROTOCOL_SHELL_H

#include <stdatomic.h>
#include <sys/types.h>

#include "core/event.h"

#define SHELL_BDF	"0000:00:01.0"
#define SHELL_ABSENT	"0000:00:02.0"

/* It listens at @path, until shell_stop(). */
void shell_start(const char *path, const struct catalogue *catalogue, const char *problem);
void shell_stop(void);
/* The user of connections from now on. */
extern _Atomic uid_t shell_uid;
/* The fds of the next grant cannot be sent. */
extern _Atomic bool shell_fails_to_send;
/* Something happens to the device SHELL_BDF: event.device is filled in. */
void shell_event(const struct event *event);

#endif
