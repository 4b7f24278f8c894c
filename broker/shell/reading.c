/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shell/reading.h"

#define MAX_GIVEN_UP	4	/* threads that hang */

/* The thread has it until it is over, and for ever if the attempt was given up. */
struct attempt {
	struct reading *reading;
	pthread_t thread;
	atomic_bool over;		/* it has ended, or was given up */
	struct settings *settings;
	FILE *report;			/* writes the mistakes to @lines */
	char *lines;
	size_t size;
};

int reading_init(struct reading *reading, const char *file, const char *directory)
{
	*reading = (struct reading){ .file = file, .directory = directory };
	reading->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return reading->fd < 0 ? -1 : 0;
}

static void write_line(void *context, const char *line)
{
	fprintf(context, "%s\n", line);
}

static struct attempt *attempt_new(struct reading *reading)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (!attempt)
		return NULL;
	attempt->reading = reading;
	attempt->report = open_memstream(&attempt->lines, &attempt->size);
	if (attempt->report)
		return attempt;
	free(attempt);
	return NULL;
}

/* The settings are the caller's. NULL if the mistakes could not be written. */
static struct settings *close_report(struct attempt *attempt)
{
	if (!fclose(attempt->report))
		return attempt->settings;
	settings_free(attempt->settings);
	return NULL;
}

static void attempt_free(struct attempt *attempt)
{
	free(attempt->lines);
	free(attempt);
}

static void *run(void *data)
{
	struct attempt *attempt = data;
	struct reading *reading = attempt->reading;
	const uint64_t one = 1;

	attempt->settings = settings_read(reading->file, reading->directory, &system_names,
					  write_line, attempt->report);
	if (!atomic_exchange(&attempt->over, true))
		/* It can only fail if the counter is full. */
		return write(reading->fd, &one, sizeof(one)) < 0 ? reading : NULL;
	settings_free(close_report(attempt));
	attempt_free(attempt);
	atomic_fetch_sub(&reading->given_up, 1);
	return NULL;
}

int reading_begin(struct reading *reading)
{
	struct attempt *attempt;
	int error;

	if (atomic_load(&reading->given_up) >= MAX_GIVEN_UP) {
		errno = EBUSY;
		return -1;
	}
	attempt = attempt_new(reading);
	if (!attempt)
		return -1;
	error = pthread_create(&attempt->thread, NULL, run, attempt);
	if (error) {
		close_report(attempt);
		attempt_free(attempt);
		errno = error;
		return -1;
	}
	reading->attempt = attempt;
	return 0;
}

bool reading_wait(const struct reading *reading, int ms)
{
	struct pollfd pollfd = { .fd = reading->fd, .events = POLLIN };
	int nr;

	do
		nr = poll(&pollfd, 1, ms);
	while (nr < 0 && errno == EINTR);
	return nr > 0;
}

struct settings *reading_take(struct reading *reading, settings_report *report, void *context)
{
	struct attempt *attempt = reading->attempt;
	struct settings *settings;
	char *rest, *line;
	uint64_t ended;

	if (read(reading->fd, &ended, sizeof(ended)) != sizeof(ended))
		return NULL;
	pthread_join(attempt->thread, NULL);
	settings = close_report(attempt);
	rest = attempt->lines;
	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			report(context, line);
	attempt_free(attempt);
	reading->attempt = NULL;
	return settings;
}

bool reading_give_up(struct reading *reading)
{
	struct attempt *attempt = reading->attempt;
	/* From the exchange on, the attempt is the thread's. */
	pthread_t thread = attempt->thread;

	atomic_fetch_add(&reading->given_up, 1);
	if (atomic_exchange(&attempt->over, true)) {
		atomic_fetch_sub(&reading->given_up, 1);
		return false;
	}
	pthread_detach(thread);
	reading->attempt = NULL;
	return true;
}
