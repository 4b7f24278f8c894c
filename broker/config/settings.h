/* SPDX-License-Identifier: MIT */
/* The configuration; vfio-dmabufd.conf(5) describes it. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "core/catalogue.h"
#include "names.h"

/* Limits besides those of the catalogue. */
struct connection_limits {
	uint64_t hello_time;		/* microseconds until the hello must have come */
	uint64_t idle_time;		/* without leases and requests; 0: no limit */
	uint32_t request_rate;		/* a second, of a user */
	uint32_t request_burst;
	uint32_t fds_per_user;		/* sent and not received */
};

struct log_settings {
	uint32_t lines_per_minute;	/* that a user can cause */
};

#define SETTINGS_PATH	256
#define SETTINGS_SOCKET	108		/* of sockaddr_un */

struct metrics_settings {
	char file[SETTINGS_PATH];	/* absolute; "": none */
	char socket[SETTINGS_SOCKET];	/* the same */
	uint64_t interval;		/* microseconds, of the file */
};

struct settings {
	struct catalogue catalogue;
	struct connection_limits connections;
	struct log_settings log;
	struct metrics_settings metrics;
};

/* A file in memory. */
struct source {
	const char *name;		/* for messages */
	const char *bytes;
	size_t size;
};

/* One line for each mistake, "file:line:column: what is wrong; what would be right". */
typedef void settings_report(void *context, const char *line);

/*
 * Makes settings of files; later files complete the first.  Free them with
 * settings_free().  They do not refer to the files or to other settings.
 * NULL: at least one line was reported.
 */
struct settings *settings_parse(const struct source *sources, size_t nr, const struct names *names,
				settings_report *report, void *context);
/* Reads @file, then the *.yaml of @directory by name, unless that is NULL or does not exist. */
struct settings *settings_read(const char *file, const char *directory, const struct names *names,
			       settings_report *report, void *context);
/* Also frees the catalogue in it. */
void settings_free(struct settings *settings);

#endif
