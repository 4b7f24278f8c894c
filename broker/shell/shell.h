/* SPDX-License-Identifier: MIT */
/*
 * The shell around the core.  It turns reports of the layers into events, and hands
 * effects to the layers that carry them out.
 */
#ifndef SHELL_SHELL_H
#define SHELL_SHELL_H

#include "config/settings.h"
#include "connections/connections.h"
#include "core/core.h"
#include "devices/devices.h"
#include "protocol/decode.h"
#include "shell/absences.h"
#include "shell/counters.h"
#include "shell/listings.h"
#include "shell/metrics.h"
#include "shell/reload.h"
#include "state/state.h"

struct shell {
	const char *config_file, *config_dir, *socket_path;

	int epoll;
	int timer;			/* of the core; CLOCK_BOOTTIME */
	struct core *core;
	struct connections *connections;
	struct devices *devices;
	struct devices_store store;
	struct state *state;
	struct settings *settings;	/* in force; NULL: none have been read without mistakes */
	char problem[VDP_TEXT];		/* the first mistake of the last reading; "" if none */
	struct reload reload;
	struct listings listings;
	struct counters counters;
	struct absences absences;
	struct metrics *metrics;
	uint64_t now;			/* of this round */
	const struct request *request;	/* that the core is handling */
	char status[256];		/* that the service manager was sent last */
	bool unsent;			/* it had no room for the status, or a client for the store */
};

/*
 * Reads the clock for the events of one round of the loop, which is short: the core and the
 * metrics need not know the microsecond of each.
 */
void shell_tick(struct shell *shell);
/* Hands an event to the core. */
void shell_handle(struct shell *shell, const struct event *event);
/* How many records events that cannot be refused may add: one for each device. */
size_t shell_new_records(const struct shell *shell);
/* Sends the status to the service manager, if it has changed. */
void shell_show_status(struct shell *shell);
/* The service manager has room for messages again. */
void shell_go_on(struct shell *shell);

#endif
