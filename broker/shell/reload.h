/* SPDX-License-Identifier: MIT */
/* Replaces the configuration while leases continue. */
#ifndef SHELL_RELOAD_H
#define SHELL_RELOAD_H

#include "config/settings.h"
#include "core/table.h"
#include "shell/reading.h"

struct flow_limits;
struct shell;

struct reload {
	struct reading reading;
	uint64_t begun, ended;		/* readings; one at a time */
	uint64_t deadline;		/* of the one that runs; UINT64_MAX: it has none */
	bool accepted;			/* the last that has ended */
	bool again;			/* another begins after the one that runs */
	struct table waiting;		/* clients */
};

enum reload_answer {
	RELOAD_LATER,			/* ask again when connections_go_on() was called */
	RELOAD_DONE,
	RELOAD_REJECTED,		/* shell.problem says why */
	RELOAD_NO_MEMORY,
};

/*
 * The first reading.  If it ends soon, and without a mistake, shell.settings has the result.
 * If it ends later, it is put into force then.  -1: no thread, no memory.
 */
int reload_first(struct shell *shell);
/* Limits of connections.  @settings: NULL: the defaults. */
void reload_limits(struct flow_limits *limits, const struct settings *settings);
/* Has it read again. */
void reload_begin(struct shell *shell);
/* The same, for a client: the answer is about a reading that began after its first call. */
enum reload_answer reload_ask(struct shell *shell, uint64_t client);
/* The client has disconnected. */
void reload_forget(struct reload *reload, uint64_t client);
/* A reading has ended: puts it into force if it fits.  If not, nothing changes. */
void reload_end(struct shell *shell);
/* Gives up a reading that takes too long: nothing changes.  See struct reload.deadline. */
void reload_work(struct shell *shell);
/* A reading that runs is left alone. */
void reload_free(struct reload *reload);

#endif
