/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "connections/flow.h"
#include "shell/journal.h"
#include "shell/reload.h"
#include "shell/shell.h"

#define MINUTE	60000000ULL
#define SECOND	1000000ULL

/* The first mistake is kept for the status.  All are logged. */
static void report(void *data, const char *line)
{
	struct shell *shell = data;

	if (!*shell->problem)
		snprintf(shell->problem, sizeof(shell->problem), "%s", line);
	journal_line(LOG_ERR, "%s", line);
}

struct settings *reload_read(struct shell *shell)
{
	*shell->problem = '\0';
	return settings_read(shell->config_file, shell->config_dir, &system_names, report, shell);
}

void reload_limits(struct flow_limits *limits, const struct settings *settings)
{
	const struct connection_limits *from = settings ? &settings->connections : NULL;

	*limits = flow_defaults;
	if (!from)
		return;
	limits->owner_fds = from->fds_per_owner;
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

int reload_settings(struct shell *shell)
{
	struct settings *settings = reload_read(shell);

	if (settings && fits(shell, settings)) {
		if (put_into_force(shell, settings)) {
			settings_free(shell->settings);
			shell->settings = settings;
			journal_line(LOG_NOTICE, "the configuration is in force");
			shell_show_status(shell);
			return 0;
		}
		report(shell, "no memory for the configuration; free some and reload");
	}
	settings_free(settings);
	journal_line(LOG_ERR, "the reload is rejected; the former configuration stays in force");
	shell_show_status(shell);
	return -1;
}
