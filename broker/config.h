/* SPDX-License-Identifier: MIT */
/* What the administrator has written: devices, slices, who may have them. */
#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_MAX_CLIENTS	256
#define CONFIG_MAX_LEASES	1024	/* of all clients together */
#define CONFIG_RESERVED		4	/* of both, beyond all limits, for administrators */
#define CONFIG_MAX_COUNT	4096	/* slices of an array */
#define CONFIG_MAX_QUIESCE	16	/* registers of a slice */

/* Who may have a slice, or be an administrator: whom any of it fits. */
struct rule {
	bool everybody;
	uid_t *users;
	size_t nr_users;
	gid_t *groups;
	size_t nr_groups;
	char **units;		/* systemd's, "name.service" */
	size_t nr_units;
	char **cgroups;		/* "/a/b": that one and all below it */
	size_t nr_cgroups;
};

/* A register to write when a lease ends. */
struct quiesce {
	uint64_t offset;	/* in the slice */
	uint64_t value;
	uint32_t width;		/* bits */
	uint32_t reserved;
};

enum reset_policy {
	RESET_NEVER,
	RESET_IDLE,	/* when the last lease of the device has ended */
	RESET_ALWAYS,	/* whenever one has; others are suspended meanwhile */
};

/* What is done to the device when a lease has ended. */
struct hooks {
	uint32_t reset;		/* enum reset_policy */
	uint32_t nr_quiesce;
	struct quiesce quiesce[CONFIG_MAX_QUIESCE];
};

struct slice_config {
	char name[64];		/* "<device>/<slice>", as clients say it */
	unsigned int bar;
	uint64_t offset;
	uint64_t length;
	uint32_t count;
	unsigned int flags;	/* VDB_READ_ONLY, VDB_WC */
	bool exclusive;
	uint32_t max_seconds;	/* 0: no limit */
	struct rule rule;
	struct hooks hooks;
};

struct device_config {
	char name[64];
	char bdf[16];
	enum reset_policy reset;
	struct slice_config *slices;
	size_t nr_slices;
};

struct config {
	char user[64];		/* to become after the devices are open; "": stay */
	uint32_t max_clients;
	uint32_t max_clients_per_user;
	uint32_t max_leases;
	uint32_t max_leases_per_client;
	uint32_t max_leases_per_user;
	struct rule admins;	/* beside root */
	struct device_config *devices;
	size_t nr_devices;
};

/*
 * Reads a file and, if there is one, all *.conf of a directory, in order of
 * their names.  NULL if anything is wrong: @error is told where and what, line
 * by line.
 */
struct config *config_read(const char *file, const char *directory,
			   void (*error)(const char *line));
void config_free(struct config *config);

struct device_config *config_find_device(const struct config *config, const char *name);
struct slice_config *config_find_slice(const struct config *config, const char *name,
				       struct device_config **device);

#endif
