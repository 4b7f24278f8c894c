/* SPDX-License-Identifier: MIT */
/*
 * What has happened to leases and devices, for clients that watch.
 *
 * The core keeps the last NEWS_ROOM entries once for all of these clients, and each
 * client has a place in them.  If a new entry overwrites one that a client has not been
 * sent, the core counts that, and later sends the client the number.  So a client that
 * does not read costs nothing more.
 *
 * An administrator is sent everything.  Others are sent what happens to leases of their
 * user.
 */
#ifndef CORE_NEWS_H
#define CORE_NEWS_H

#include <stdbool.h>
#include <stdint.h>

struct client;
struct core;
struct device;
struct lease;

#define NEWS_ROOM	1024

enum news_type {
	NEWS_GRANTED = 1,	/* seconds */
	NEWS_RENEWED,		/* seconds */
	NEWS_ENDED,		/* end */
	NEWS_DEVICE_OPEN,
	NEWS_DEVICE_LOST,	/* why */
	NEWS_DEVICE_SUSPENDED,
	NEWS_DEVICE_RESUMED,
	NEWS_RESTARTED,		/* what happened while no broker ran is not known */
	NEWS_MISSED,		/* missed */
};

struct news {
	enum news_type type;
	enum { FOR_USER, FOR_ADMINS, FOR_ALL } whom;
	uint64_t user;
	uint64_t time;		/* microseconds of CLOCK_BOOTTIME */
	uint64_t missed;
	uint64_t lease;		/* 0: it is about a device */
	uint64_t offset, length;
	uint32_t bar, flags, index, seconds, end;
	uint32_t pid, uid, gid;	/* of the client; 0 if it has disconnected */
	char name[64];		/* of the slice, or the device */
	char bdf[16];
	char client[64];	/* its name */
	const char *why;
};

/* The client watches from now on.  False: no memory. */
bool news_watch(struct core *core, struct client *client, uint64_t serial);
void news_unwatch(struct core *core, struct client *client);
void news_of_lease(struct core *core, enum news_type type, const struct lease *lease,
		   uint32_t seconds);
void news_of_device(struct core *core, enum news_type type, const struct device *device);
void news_of_restart(struct core *core);
/* Hands over the next that the client is to be sent, if there is one. */
void news_send(struct core *core, struct client *client);

#endif
