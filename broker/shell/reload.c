/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "connections/flow.h"
#include "shell/journal.h"
#include "shell/reload.h"
#include "shell/shell.h"

#define MINUTE	60000000ULL
#define SECOND	1000000ULL
#define LIMIT		5		/* seconds that a reading may take */
#define NEVER		UINT64_MAX

/* The first mistake is kept for the status.  All are logged. */
static void report(void *data, const char *line)
{
	struct shell *shell = data;

	if (!*shell->problem)
		snprintf(shell->problem, sizeof(shell->problem), "%s", line);
	journal_line(LOG_ERR, "%s", line);
}

void reload_limits(struct flow_limits *limits, const struct settings *settings)
{
	const struct connection_limits *from = settings ? &settings->connections : NULL;

	*limits = flow_defaults;
	if (!from)
		return;
	limits->user_fds = from->fds_per_user;
	limits->requests.burst = from->request_burst;
	limits->requests.interval = from->request_rate ? SECOND / from->request_rate : 0;
	limits->lines.burst = settings->log.lines_per_minute;
	limits->lines.interval = settings->log.lines_per_minute ?
				 MINUTE / settings->log.lines_per_minute : 0;
	limits->hello = from->hello_time;
	limits->idle = from->idle_time;
}

/* Whether the settings fit the devices that are open. */
static bool fits(struct shell *shell, const struct settings *settings)
{
	char why[VDP_TEXT];

	if (devices_fit(shell->devices, &settings->catalogue, why, sizeof(why)))
		return true;
	report(shell, why);
	return false;
}

/* False: no memory; nothing has changed. */
static bool put_into_force(struct shell *shell, const struct settings *settings)
{
	const struct event event = { .type = EVENT_RELOAD, .catalogue = &settings->catalogue };
	const struct catalogue *former = core_catalogue(shell->core);
	struct flow_limits limits;

	if (state_reserve(shell->state, settings->catalogue.nr_devices + shell_new_records(shell)) ||
	    devices_set_catalogue(shell->devices, &settings->catalogue))
		return false;
	shell_handle(shell, &event);
	if (core_catalogue(shell->core) != &settings->catalogue) {
		/* This cannot fail: all devices of the former catalogue are known. */
		devices_set_catalogue(shell->devices, former);
		return false;
	}
	reload_limits(&limits, settings);
	connections_set_limits(shell->connections, &limits);
	metrics_set(shell->metrics, &settings->metrics);
	listings_begin_again(&shell->listings);
	return true;
}

/* Whether the settings are in force.  If not, the caller frees them. */
static bool accept(struct shell *shell, struct settings *settings)
{
	if (!fits(shell, settings))
		return false;
	if (!put_into_force(shell, settings)) {
		report(shell, "no memory for the configuration; free some and reload");
		return false;
	}
	settings_free(shell->settings);
	shell->settings = settings;
	return true;
}

static struct settings *take(struct shell *shell)
{
	*shell->problem = '\0';
	shell->reload.ended++;
	return reading_take(&shell->reload.reading, report, shell);
}

static void answer_all(struct shell *shell)
{
	const struct table *waiting = &shell->reload.waiting;

	for (size_t i = 0; i < waiting->nr; i++)
		connections_go_on(shell->connections, *(uint64_t *)waiting->items[i]);
}

/* What the reading that has ended means for those who wait for it. */
static void conclude(struct shell *shell, bool accepted)
{
	struct reload *reload = &shell->reload;

	reload->accepted = accepted;
	reload->deadline = NEVER;
	if (accepted)
		journal_line(LOG_NOTICE, "the configuration is in force");
	else
		journal_line(LOG_ERR, "the reload is rejected; the former configuration stays in force");
	shell_show_status(shell);
	answer_all(shell);
	if (reload->again)
		reload_begin(shell);
}

void reload_end(struct shell *shell)
{
	struct settings *settings = take(shell);
	bool accepted = settings && accept(shell, settings);

	if (!accepted)
		settings_free(settings);
	conclude(shell, accepted);
}

/* The reading ends without settings. */
static void fail(struct shell *shell, const char *why)
{
	shell->reload.ended++;
	*shell->problem = '\0';
	report(shell, why);
	conclude(shell, false);
}

void reload_work(struct shell *shell)
{
	struct reload *reload = &shell->reload;

	if (shell->now >= reload->deadline && reading_give_up(&reload->reading))
		fail(shell, "the configuration was not read within 5 seconds: a file or a name service does not answer; reload when it does, or name users and groups by number");
}

static int begin(struct shell *shell)
{
	struct reload *reload = &shell->reload;

	reload->again = false;
	reload->begun++;
	reload->deadline = shell->now + LIMIT * SECOND;
	return reading_begin(&reload->reading);
}

void reload_begin(struct shell *shell)
{
	struct reload *reload = &shell->reload;

	if (reload->reading.attempt) {
		reload->again = true;
		/* The first one has had its time at the start. */
		if (reload->deadline == NEVER)
			reload->deadline = shell->now;
	} else if (begin(shell)) {
		fail(shell, errno == EBUSY ?
		     "earlier readings of the configuration still wait for a file or a name service; reload when it answers" :
		     "no thread to read the configuration; free some memory and reload");
	}
}

int reload_first(struct shell *shell)
{
	struct reload *reload = &shell->reload;

	if (reading_init(&reload->reading, shell->config_file, shell->config_dir) || begin(shell))
		return -1;
	/* What a start has begun to read counts also if it is late. */
	reload->deadline = NEVER;
	if (reading_wait(&reload->reading, LIMIT * 1000)) {
		shell->settings = take(shell);
		reload->accepted = shell->settings;
	} else {
		report(shell, "the configuration is still being read: a file or a name service does not answer");
	}
	if (!shell->settings)
		journal_line(LOG_ERR, "existing leases continue; nothing new is granted until a reload succeeds");
	return 0;
}

/* Clients. */

struct waiting {
	uint64_t client;		/* first: the table's key */
	uint64_t reading;		/* the number of the one that it waits for */
};

static enum reload_answer wait_for_next(struct shell *shell, uint64_t client)
{
	struct reload *reload = &shell->reload;
	struct waiting *waiting;

	if (!table_reserve(&reload->waiting, 1) || !(waiting = calloc(1, sizeof(*waiting))))
		return RELOAD_NO_MEMORY;
	*waiting = (struct waiting){ client, reload->begun + 1 };
	table_add(&reload->waiting, waiting);
	reload_begin(shell);
	return RELOAD_LATER;
}

enum reload_answer reload_ask(struct shell *shell, uint64_t client)
{
	struct reload *reload = &shell->reload;
	const struct waiting *waiting = table_find(&reload->waiting, client);

	if (!waiting)
		return wait_for_next(shell, client);
	if (reload->ended < waiting->reading)
		return RELOAD_LATER;
	reload_forget(reload, client);
	return reload->accepted ? RELOAD_DONE : RELOAD_REJECTED;
}

void reload_forget(struct reload *reload, uint64_t client)
{
	struct waiting *waiting = table_find(&reload->waiting, client);

	if (!waiting)
		return;
	table_remove(&reload->waiting, waiting);
	free(waiting);
}

void reload_free(struct reload *reload)
{
	for (size_t i = 0; i < reload->waiting.nr; i++)
		free(reload->waiting.items[i]);
	table_free(&reload->waiting);
}
