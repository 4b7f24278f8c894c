/* SPDX-License-Identifier: MIT */
/*
 * What the broker consists of while it runs.  One thread, one event loop.
 *
 *	broker --+--> devices	what the configuration has, opened
 *	         +--> clients	connections
 *	         +--> leases	a slice of a device, lent to a client
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>
#include <vfio-dmabuf.h>
#include <vfio-dmabuf-protocol.h>

#include "config.h"
#include "policy.h"
#include "state.h"

struct broker;

struct device {
	struct device *next;
	struct broker *broker;
	char name[64];			/* in the configuration */
	char bdf[16];
	struct vdb_device *vdb;		/* NULL: not there, or lost */
	bool stored;			/* its fd came from the store, and is ours to close */
	int request_fd;			/* the kernel wants the device back */
	sd_event_source *request_source;
};

/* A listing that is under way: what comes next. */
struct cursor {
	uint16_t type;			/* of the request; 0: none */
	uint32_t serial;
	uint64_t next;
};

struct client {
	struct client *next;
	struct broker *broker;
	int fd;
	int pidfd;
	uint64_t cookie;
	struct identity who;
	bool greeted;
	bool stored;			/* it outlives this process */
	bool admin;
	bool lost;			/* nothing can be sent to it any more */
	uint32_t answered;		/* serial of a request that is still in the socket, or 0 */
	char name[VDP_NAME];		/* printable */
	struct cursor list;
	sd_event_source *source, *pid_source, *timer;
};

struct lease {
	struct lease *next;
	struct broker *broker;
	uint64_t id;
	struct client *client;
	struct device *device;
	char slice_name[64];
	unsigned int bar;
	unsigned int flags;		/* VDP_* */
	uint64_t offset;		/* in the BAR */
	uint64_t length;
	uint32_t index;
	uint64_t expires;		/* CLOCK_BOOTTIME in microseconds, 0: never */
	struct hooks hooks;		/* of the configuration by which it was lent */
	enum lease_phase phase;
	uint32_t serial;		/* of the request that was granted */
	struct vdb_slice *slice;
	enum vdp_state state;
	/*
	 * Why it ended: then nothing is left of it but this, until its client
	 * has been told.
	 */
	enum vdp_end end;
	bool tell;			/* the client does not know state yet */
	sd_event_source *source, *timer;
};

struct broker {
	sd_event *event;
	struct config *config;
	const char *config_file, *config_dir;
	struct state *state;
	struct device *devices;
	struct client *clients;
	struct lease *leases;		/* the newest first */
	uint64_t next_id;
	int listening;
	const char *socket_path;	/* to be removed at the end; NULL: not ours */
};

/* broker.c: the whole. */
int broker_start(struct broker *broker);
void broker_save(struct broker *broker);
void broker_reload(struct broker *broker);
void broker_end(struct broker *broker);

/* device.c */
/* One that does not open is lost; -1 if the configuration does not fit one that does. */
int devices_open(struct broker *broker);
unsigned int devices_count_open(const struct broker *broker);
struct device *device_add(struct broker *broker, const struct device_config *config);
/* Opens it, or takes a stored fd over, if that is not -1. */
int device_open(struct device *device, int fd);
struct device *device_find(struct broker *broker, const char *bdf);
/*
 * Revokes a slice, and does not return before its importers have unmapped it: a
 * signal does not end that.  0 also if it was revoked before; -1 with errno.
 */
int device_revoke(const struct device *device, const struct vdb_slice *slice);
/* Closes it, which revokes whatever is left of it. */
void device_close(struct device *device);
/* Ends its leases, and closes it. */
void device_lose(struct device *device, const char *why);
/* Whether a configuration asks nothing of the devices that are open that they do not have. */
bool devices_fit(const struct broker *broker, const struct config *config);
/* Closes what the new configuration has no longer, and opens what is new. */
void devices_reload(struct broker *broker);

/* client.c */
int clients_listen(struct broker *broker);
/* Takes a connection over; NULL, and closed, if it cannot be served. */
struct client *client_add(struct broker *broker, int fd);
void client_drop(struct client *client, const char *why);
/* Gives it to the service manager, that the connection outlives this process. */
void client_keep(struct client *client);
/* The same for all of them, and waits until they are there. */
void clients_keep(struct broker *broker);
/* It has said hello; until then its time is limited. */
void client_set_greeted(struct client *client);
/* True if sent.  False if not, now: the request stays where it is. */
bool client_send(struct client *client, const void *message, size_t size,
		 const int *fds, unsigned int nr);
bool client_can_send(const struct client *client);
/* Has the client be served soon, as there is something to tell. */
void client_wake(struct client *client);
struct client *client_find(struct broker *broker, uint64_t cookie);

/* request.c */
enum handled {
	HANDLED_DONE,		/* answered: it may be forgotten */
	HANDLED_LATER,		/* the answer did not go out; ask again */
	HANDLED_DROP,		/* the connection cannot go on */
};
enum handled request_handle(struct client *client, const void *data, size_t size,
			    bool with_fds);
enum handled request_error(struct client *client, uint32_t serial,
			   enum vdp_error_code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
enum handled request_done(struct client *client, uint16_t type, uint32_t serial);

/* grant.c */
enum handled grant(struct client *client, const struct vdp_acquire *request);

/* list.c: true when all of it has been sent. */
bool list_go_on(struct client *client);

/* lease.c */
struct lease *lease_new(struct broker *broker, uint64_t id);
/* Watches slice and time; -1 if that cannot be. */
int lease_start(struct lease *lease);
/* Limits it to so many seconds from now on, 0: none. */
void lease_set_time(struct lease *lease, uint32_t seconds);
uint32_t lease_seconds_left(const struct lease *lease);
/* Takes the slice back and, unless it has asked for that itself, tells the client. */
void lease_end(struct lease *lease, enum vdp_end why);
void lease_forget(struct lease *lease);
struct lease *lease_find(struct broker *broker, uint64_t id);
/* A running lease that bars another one of this range. */
const struct lease *lease_conflict(struct broker *broker, const struct device *device,
				   unsigned int bar, uint64_t offset, uint64_t length,
				   bool exclusive);
/* Ends those that the configuration does not allow, or not so or for so long, any more. */
void leases_end_forbidden(struct broker *broker);
/* Tells the client what it does not know yet; false if not all went out. */
bool leases_tell(struct client *client);

/*
 * release.c: what is done to the device when a lease ends.  A device that cannot
 * be put in order is closed.
 */
void release_actions(const struct lease *lease);

/* restore.c: takes over what a former process has left in the store. */
int restore(struct broker *broker);

#endif
