/* SPDX-License-Identifier: MIT */
/*
 * A service manager for one service, as systemd documents it in sd_notify(3) and
 * sd_listen_fds(3): it passes a listening socket and the stored fds, reads
 * notifications, and stores fds.
 */
#ifndef TESTS_MANAGER_H
#define TESTS_MANAGER_H

#include <stdbool.h>
#include <sys/types.h>

#define MANAGER_SOCKET	"/tmp/broker.socket"

/* Begins with an empty store. */
void manager_init(void);
/*
 * Starts the service; argv as for execv().  Returns its pid after it has sent READY=1,
 * or 0 if it ended before that; @status is then that of wait().
 */
pid_t manager_start(char *const argv[], int *status);
/* Waits until it has ended; its status as of wait(). */
int manager_wait(pid_t pid);
/* Waits for one more READY=1, after a reload. */
void manager_wait_ready(void);
/* Waits until the store has @nr fds whose names begin with @prefix, as long as the test allows. */
void manager_wait_count(const char *prefix, unsigned int nr);
/* Waits until the service's last STATUS= has this text, as long as the test may. */
void manager_wait_status(const char *part);
/*
 * An fd of the store, for a test to read or to damage.  The broker does not wait until
 * the store has what it sends, so these functions do.
 */
int manager_fd(const char *name);
/* The name of one whose name begins so. */
#define MANAGER_NAME	64
void manager_name(const char *prefix, char name[MANAGER_NAME]);
/* Forgets fds; "": all that there are, if any. */
void manager_forget(const char *prefix);
/* Keeps none whose name begins so from now on, as a manager whose store is full; NULL: all. */
void manager_refuse(const char *prefix);
/* How many messages the service has sent. */
unsigned int manager_messages(void);
/* Whether there is a store at all; there is at first. */
void manager_keep(bool keep);

#endif
