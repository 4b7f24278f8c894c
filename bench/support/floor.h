/* SPDX-License-Identifier: MIT */
/*
 * The smallest broker, as a floor for what a lease can cost: a process that waits for
 * requests with epoll, exports a page with an event fd, and revokes it.  It has one
 * client, no policy, no state, no threads, no limits and no log, and checks nothing.
 * The messages are as long as those of the protocol.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stdint.h>

#include "device.h"

/* Serves @socket with pages of @device until the other end closes it. */
__attribute__((noreturn)) void floor_serve(int socket, const struct device *device, uint32_t bar,
					   uint64_t offset);
/* A client's cycle: acquire, map, read, release. */
void floor_cycle(int socket);

#endif
