/* SPDX-License-Identifier: MIT */
/* The service manager's fd store: fds that outlive the broker's process. */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether somebody keeps our fds. */
bool store_exists(void);
/*
 * Keeps an fd under a name.  False, and logged, if it is not certain that it is
 * kept; true where there is no store.
 */
bool store_put(const char *name, int fd);
/*
 * The same without certainty, but nobody has to wait.  The manager reads it before
 * it sees that we have ended.
 */
bool store_offer(const char *name, int fd);
/* Waits until the manager has read all that was sent. */
void store_wait(void);
void store_remove(const char *name);
/* The same, and waits until the store has closed it. */
void store_remove_now(const char *name);

/* Names of what is kept; the buffer is static. */
const char *store_name_of_device(const char *bdf);
const char *store_name_of_client(uint64_t cookie);
const char *store_name_of_lease(uint64_t id);
bool store_is_device(const char *name);
#define STORE_NAME_OF_STATE	"state"

#endif
