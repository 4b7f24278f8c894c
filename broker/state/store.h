/* SPDX-License-Identifier: MIT */
/*
 * The service manager's fd store: fds that outlive the broker's process.
 *
 * A message is safe when the function returns, even if this process then dies: the
 * manager reads its messages before it looks at processes that have died.  So only a
 * removal may need store_wait(), if the fd must be closed.
 *
 * Functions that return int: 0, or -1 with errno.  Without a store they do nothing, and
 * return 0.
 */
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stored_type {
	STORED_OTHER,	/* such as a socket of the unit */
	STORED_STATE,
	STORED_CLIENT,	/* client */
	STORED_DEVICE,	/* bdf */
	STORED_DMA,	/* bdf, ioas: its IO address space */
	STORED_DRIVER,	/* bdf: what the driver of the device must know of it */
	STORED_MEMORY,	/* lease: its memory */
};

struct stored {
	enum stored_type type;
	int fd;			/* close-on-exec */
	uint64_t client;
	uint64_t lease;
	uint32_t ioas;
	char bdf[16];
};

/* Whether the manager stores fds.  If not, nothing is sent. */
bool store_exists(void);

/*
 * The state has one fd for all of its life.  A client needs one message, when it has
 * said hello.  A device needs two, when it is opened.  A lease needs one if it has memory,
 * when that is allocated.
 */
int store_put_state(int fd);
/* Does not wait.  After EAGAIN (no room), manager_fd() reports when to try again. */
int store_put_client(uint64_t id, int fd);
int store_put_device(const char *bdf, int fd);
int store_put_dma(const char *bdf, uint32_t ioas, int fd);
int store_put_driver(const char *bdf, int fd);
int store_put_memory(uint64_t lease, int fd);

/* Removes all fds of this name. */
int store_remove_state(void);
/* Does not wait.  If the manager has no room, store_go_on() does it. */
int store_remove_client(uint64_t id);
int store_remove_device(const char *bdf);
int store_remove_dma(const char *bdf, uint32_t ioas);
int store_remove_driver(const char *bdf);
int store_remove_memory(uint64_t lease);
/* The manager has room again. */
void store_go_on(void);
/*
 * Waits until the manager has handled all messages.  ETIMEDOUT after 10 s.  For a
 * worker, before it closes a device.  The event loop must not call it.
 */
int store_wait(void);

/*
 * Takes the fds that the manager has passed to this process.  Call it once.  The caller
 * frees @stored.  Returns their number, or -1 with errno.
 */
int store_take_all(struct stored **stored);

#endif
