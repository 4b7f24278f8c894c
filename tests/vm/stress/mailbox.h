/* SPDX-License-Identifier: MIT */
/*
 * Where a client or an importer gets slices: a socket with a name, so that its
 * successor is found by the same name.
 */
#ifndef STRESS_MAILBOX_H
#define STRESS_MAILBOX_H

#include <stdbool.h>

#include "board.h"

/* Of the worker with that number; the fd. */
int mailbox_open(unsigned int worker);
/* Whether there is a message; waits up to @ms for it. */
bool mailbox_receive(int mailbox, struct loan *loan, int *fd, int ms);

/* The sending socket: one for each thread. */
int mailbox_sender(void);
/* False if that worker is dead, or has its mailbox full. */
bool mailbox_send(int sender, unsigned int worker, const struct loan *loan, int fd);

#endif
