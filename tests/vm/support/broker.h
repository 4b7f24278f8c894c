/* SPDX-License-Identifier: MIT */
/* The broker, started and killed by tests, and clients of it. */
#ifndef TESTS_BROKER_H
#define TESTS_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vfio-dmabuf.h>
#include <vfio-dmabuf-protocol.h>

#define BROKER_MS	60000	/* that it may take to answer, on a slow machine */
#define BROKER_LOG	"/tmp/broker.log"
/* Of the configuration; there is none unless the test makes it, and removes it. */
#define BROKER_CONF_D	"/tmp/broker.d"
#define BROKER_TRACE	"/tmp/strace.log"

/*
 * Writes the configuration: @EDU@, @NVME@ and so on stand for the address of the
 * lab's devices.
 */
void broker_configure(const char *text);
/* Starts it under the manager of manager.h; the test fails if it does not come up. */
pid_t broker_start(void);
/* The same under strace with these options, "-e inject=..." for instance. */
pid_t broker_start_traced(const char *options);
/* Starts it, and fails the test if it starts. BROKER_LOG has its log. */
void broker_start_fails(void);
/*
 * Ends it with a signal and waits for that.  The test fails if it does not end
 * properly, or if a sanitizer has reported something.
 */
void broker_stop(pid_t pid, int number);
/* The checks of broker_stop(), for a broker that has ended by itself. */
void broker_check_sanitizers(void);
/* Whether its log has this text. */
bool broker_logged(const char *text);
/* How many lines of its log have @text. */
unsigned int broker_count_lines(const char *text);
/* Waits until its log has it, as long as the test may. */
void broker_wait_log(const char *text);
/* Empties its log, for tests that wait for something that has been logged before. */
void broker_forget_log(void);
/* Has the configuration read again, and waits until that is accepted or rejected. */
void broker_reload(pid_t pid, bool accepted);

/* The name by which the manager keeps a device of the lab; the buffer is static. */
const char *broker_name_of_device(const char *name);

/* A connection of this process; the test fails if there is none. */
struct vdb_client *broker_connect(void);
/* Waits until all its devices are open. */
void broker_wait_open(struct vdb_client *client);
/* A slice, waited for if others have it; the test fails if it is not granted. */
struct vdb_lease broker_acquire(struct vdb_client *client, const char *name, uint32_t index);
/* The errno with which the request is refused; the test fails if it is granted. */
int broker_acquire_error(struct vdb_client *client, const char *name, uint32_t index,
			 unsigned int flags, uint32_t seconds);
/*
 * Calls @fn as another user in a child of the test, which waits for it and fails if
 * it leaves with a status.
 */
void broker_as_user(uid_t uid, gid_t gid, void (*fn)(void));
/* Waits for the next event, and compares. */
void broker_expect(struct vdb_client *client, uint64_t lease, enum vdb_state state,
		   enum vdb_end end);

/* A connection without the library: the test composes the messages. */
int raw_connect(void);
int raw_connect_greeted(void);
/* Sends, and returns the size of the next message in @answer, 0 at the end. */
ssize_t raw_ask(int fd, const void *request, size_t size, void *answer);

#endif
