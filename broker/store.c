/* SPDX-License-Identifier: MIT */
/*
 * The service manager's fd store, sd_pid_notify_with_fds(3).
 *
 * FDPOLL=0, as the manager would otherwise drop fds that hang up: a DMABUF or
 * client is for us to look at and to forget.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "store.h"

#define BARRIER_USEC	(10 * 1000000ULL)

bool store_exists(void)
{
	const char *max = getenv("FDSTORE");

	/* Managers since version 254 say how many fds they keep. */
	return getenv("NOTIFY_SOCKET") && max && strcmp(max, "0");
}

/* @ret: what sd_notify() and its like say. */
static bool is_sent(const char *name, int ret)
{
	static struct log_limit limit;

	if (ret <= 0)
		log_limited(&limit, LOG_ERR, "the service manager does not keep %s: %s", name,
			    ret ? strerror(-ret) : "no notification socket");
	return ret > 0;
}

bool store_offer(const char *name, int fd)
{
	char message[128];

	if (!store_exists())
		return true;
	snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	return is_sent(name, sd_pid_notify_with_fds(0, 0, message, &fd, 1));
}

bool store_put(const char *name, int fd)
{
	if (!store_exists())
		return true;
	/* Only when the manager has read all that we sent is it safe. */
	return store_offer(name, fd) && is_sent(name, sd_notify_barrier(0, BARRIER_USEC));
}

void store_wait(void)
{
	if (store_exists())
		sd_notify_barrier(0, BARRIER_USEC);
}

void store_remove(const char *name)
{
	if (store_exists())
		sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void store_remove_now(const char *name)
{
	store_remove(name);
	store_wait();
}

/* ':' separates names in the environment. */
const char *store_name_of_device(const char *bdf)
{
	static char name[64];

	snprintf(name, sizeof(name), "device-%s", bdf);
	for (char *c = name; *c; c++)
		if (*c == ':')
			*c = '_';
	return name;
}

bool store_is_device(const char *name)
{
	return !strncmp(name, "device-", 7);
}

const char *store_name_of_client(uint64_t cookie)
{
	static char name[64];

	snprintf(name, sizeof(name), "client-%" PRIu64, cookie);
	return name;
}

const char *store_name_of_lease(uint64_t id)
{
	static char name[64];

	snprintf(name, sizeof(name), "lease-%" PRIu64, id);
	return name;
}
