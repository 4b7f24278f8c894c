/* SPDX-License-Identifier: MIT */
/* An fd in the loop's epoll instance: data.ptr points to this. */
#ifndef CONNECTIONS_WATCH_H
#define CONNECTIONS_WATCH_H

#include <stdint.h>

struct watch {
	void (*on_event)(struct watch *watch, uint32_t events);
	uint32_t events;	/* that epoll watches for */
};

#endif
