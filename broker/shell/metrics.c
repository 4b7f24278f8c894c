/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/replace.h"
#include "shell/journal.h"
#include "shell/metrics.h"
#include "shell/metrics_text.h"
#include "shell/scrapes.h"
#include "shell/shell.h"

struct metrics {
	struct shell *shell;
	struct metrics_settings settings;
	struct scrapes *scrapes;
	uint64_t next;		/* when to write the file */
	bool failed;		/* the last write failed, which has been logged */
};

static char *make_text(void *data, size_t *size)
{
	const struct metrics *metrics = data;
	const struct metrics_view view = {
		.core = metrics->shell->core,
		.devices = metrics->shell->devices,
		.counters = &metrics->shell->counters,
		.now = clock_now(),
		.rejected = *metrics->shell->problem,
	};

	return metrics_text(&view, size);
}

/* The file. */

static void write_file(struct metrics *metrics)
{
	size_t size;
	char *text = make_text(metrics, &size);
	bool failed = !text || file_replace(metrics->settings.file, text, size, false);

	if (failed && !metrics->failed)
		journal_line(LOG_ERR, "%s: cannot write metrics: %m; the broker tries again",
			     metrics->settings.file);
	metrics->failed = failed;
	free(text);
}

/* All of it. */

struct metrics *metrics_new(struct shell *shell)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return NULL;
	metrics->shell = shell;
	metrics->scrapes = scrapes_new(shell->epoll, make_text, metrics);
	if (metrics->scrapes)
		return metrics;
	free(metrics);
	return NULL;
}

static void remove_file(const struct metrics *metrics)
{
	if (*metrics->settings.file)
		unlink(metrics->settings.file);
}

void metrics_set(struct metrics *metrics, const struct metrics_settings *settings)
{
	if (strcmp(metrics->settings.file, settings->file))
		remove_file(metrics);
	metrics->settings = *settings;
	metrics->next = 0;
	metrics->failed = false;
	if (scrapes_listen(metrics->scrapes, settings->socket))
		journal_line(LOG_ERR, "%s: cannot listen for metrics: %m; correct that, then reload",
			     settings->socket);
}

uint64_t metrics_work(struct metrics *metrics)
{
	uint64_t now = metrics->shell->now, until = scrapes_work(metrics->scrapes, now);

	if (!*metrics->settings.file)
		return until;
	if (now >= metrics->next) {
		metrics->next = now + metrics->settings.interval;
		write_file(metrics);
	}
	return metrics->next < until ? metrics->next : until;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	remove_file(metrics);
	scrapes_free(metrics->scrapes);
	free(metrics);
}
