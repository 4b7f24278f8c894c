/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
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

#define WRITING	(-1)
#define LOOK	1000000ULL	/* microseconds until a write has usually ended */

struct metrics {
	struct shell *shell;
	struct metrics_settings settings;
	struct scrapes *scrapes;
	uint64_t next;		/* when to write the file */
	bool writing;		/* a write has begun, and its result has not been seen */
	bool failed;		/* the last write failed, which has been logged */
	/* Shared with the thread that writes. */
	atomic_int result;	/* of the last write: 0, or an errno; WRITING */
	atomic_uint former;	/* paths that are no longer written */
};

/* Of a thread: a disk can be slow, or hang. */
struct write {
	struct metrics *metrics;
	unsigned int former;
	char path[SETTINGS_PATH];
	char *text;
	size_t size;
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

static void *run(void *data)
{
	struct write *write = data;
	struct metrics *metrics = write->metrics;
	int error = file_replace(write->path, write->text, write->size, false) ? errno : 0;

	/* The loop has removed the file meanwhile. */
	if (atomic_load(&metrics->former) != write->former)
		unlink(write->path);
	free(write->text);
	free(write);
	atomic_store(&metrics->result, error);
	return NULL;
}

static void begin_to_write(struct metrics *metrics)
{
	struct write *write = malloc(sizeof(*write));
	pthread_t thread;
	int error;

	if (!write)
		return;
	*write = (struct write){ .metrics = metrics, .former = metrics->former };
	strcpy(write->path, metrics->settings.file);
	write->text = make_text(metrics, &write->size);
	atomic_store(&metrics->result, WRITING);
	metrics->writing = true;
	error = write->text ? pthread_create(&thread, NULL, run, write) : ENOMEM;
	if (!error) {
		pthread_detach(thread);
		return;
	}
	free(write->text);
	free(write);
	atomic_store(&metrics->result, error);
}

/* False: it still writes. */
static bool see_result(struct metrics *metrics)
{
	int result = atomic_load(&metrics->result);

	if (!metrics->writing)
		return true;
	if (result == WRITING)
		return false;
	metrics->writing = false;
	if (result && !metrics->failed)
		journal_line(LOG_ERR, "%s: cannot write metrics: %s; the broker tries again",
			     metrics->settings.file, strerror(result));
	metrics->failed = result;
	return true;
}

/* A write that takes longer than the interval replaces the next one. */
static uint64_t write_file(struct metrics *metrics, uint64_t now)
{
	if (see_result(metrics) && now >= metrics->next) {
		metrics->next = now + metrics->settings.interval;
		begin_to_write(metrics);
	}
	return metrics->writing ? now + LOOK : metrics->next;
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

static void remove_file(struct metrics *metrics)
{
	atomic_fetch_add(&metrics->former, 1);
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
	/* What the former file's write has to say does not matter. */
	metrics->writing &= atomic_load(&metrics->result) == WRITING;
	if (scrapes_listen(metrics->scrapes, settings->socket))
		journal_line(LOG_ERR, "%s: cannot listen for metrics: %m; correct that, then reload",
			     settings->socket);
}

uint64_t metrics_work(struct metrics *metrics)
{
	uint64_t now = metrics->shell->now, until = scrapes_work(metrics->scrapes, now);

	if (*metrics->settings.file) {
		uint64_t next = write_file(metrics, now);

		until = next < until ? next : until;
	}
	return until;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	remove_file(metrics);
	scrapes_free(metrics->scrapes);
	/* A thread that writes ends with the process. */
	if (see_result(metrics))
		free(metrics);
}
