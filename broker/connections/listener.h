/* SPDX-License-Identifier: MIT */
/* A listening socket that also works if no fds are left. */
#ifndef CONNECTIONS_LISTENER_H
#define CONNECTIONS_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "watch.h"

struct listener {
	struct watch watch;
	int fd;			/* -1: none */
	int reserve;		/* an fd to close if no other is left; -1: none */
	uint64_t paused;	/* until when it is not watched; 0: it is watched */
	int64_t left;		/* microseconds of the processor for new connections */
	uint64_t refilled;	/* when @left was computed */
};

/* Makes a socket of @type at @path.  Replaces one that no process listens at.  -1 with errno. */
int listener_make_socket(const char *path, int type);
/* Takes ownership of @fd if it succeeds.  -1 with errno. */
int listener_open(struct listener *listener, int epoll, int fd);
void listener_close(struct listener *listener);
/*
 * Returns a connection, non-blocking; -1: none.  Refuses it if seven of eight fds are in
 * use.  Pauses if no fd is left to refuse it with.
 */
int listener_accept(struct listener *listener, int epoll, uint64_t now);
/*
 * New connections have taken @used microseconds of the processor.  Pauses if that is more
 * than a quarter of the time, so that they do not keep the loop from its clients.
 */
void listener_charge(struct listener *listener, int epoll, uint64_t now, uint64_t used);
/* Ends a pause.  Returns when to call it again, or UINT64_MAX. */
uint64_t listener_tick(struct listener *listener, int epoll, uint64_t now);

#endif
