/* SPDX-License-Identifier: MIT */
/* Messages with up to two fds, between processes that trust each other. */
#ifndef BENCH_MESSAGES_H
#define BENCH_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>

struct message {
	char bytes[96];		/* the first says what it is */
	size_t size;
	int fds[2];		/* -1: none */
};

/* The program ends if it cannot be sent. */
void message_send(int socket, const struct message *m);
/* Waits.  False if the other end is closed. */
bool message_receive(int socket, struct message *m);

#endif
