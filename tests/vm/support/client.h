/* SPDX-License-Identifier: MIT */
/*
 * Another process that carries out the test's commands, one by one. By default it is
 * unprivileged, and has nothing of the device but the slices passed to it.
 */
#ifndef TESTS_CLIENT_H
#define TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct client {
	pid_t pid;
	int socket;
};

/* What a step gets: up to four numbers, and an fd or -1 (the client's own). */
struct client_step {
	long arg[4];
	int fd;
};

/* A step; runs in the client, returns its result and leaves errno. */
typedef long client_fn(const struct client_step *step);

enum client_user {
	CLIENT_NOBODY,	/* no right to anything: user "client" */
	CLIENT_STRANGER,	/* nor has this one: a user and group without a name */
	CLIENT_ROOT,
};

/* Makes the calling process one of that user, or ends it. */
void client_become(enum client_user user);
struct client *client_start(enum client_user user);
/* Makes the client fork; the child has all its mappings and fds. */
struct client *client_fork(struct client *c);
/* Ends it and waits for that. */
void client_end(struct client *c);

/*
 * Lets the client run one step: the result with errno as the step left it.
 * The fd, unless -1, is passed through the socket.
 */
long client_call(struct client *c, client_fn *fn, const struct client_step *step);

/* Passes an fd on; the client's number of it. */
int client_give(struct client *c, int fd);
/* mmap() of a slice passed along; address in the client or (long)MAP_FAILED. */
long client_mmap(struct client *c, int fd, size_t offset, size_t length,
		 int prot);
long client_munmap(struct client *c, long address, size_t length);
/* 0, or the signal that the access got. */
int client_try_read32(struct client *c, long address, uint32_t *value);
int client_try_write32(struct client *c, long address, uint32_t value);
/* The test fails if the access gets a signal. */
uint32_t client_read32(struct client *c, long address);
void client_write32(struct client *c, long address, uint32_t value);

#endif
