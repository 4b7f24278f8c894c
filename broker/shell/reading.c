/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shell/reading.h"

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

static void *run(void *data)
{
	struct reading *reading = data;
	const uint64_t one = 1;

	reading->settings = settings_read(reading->file, reading->directory, &system_names,
					  write_line, reading->report);
	/* It can only fail if the counter is full. */
	return write(reading->fd, &one, sizeof(one)) < 0 ? reading : NULL;
}

int reading_begin(struct reading *reading)
{
	int error;

	reading->report = open_memstream(&reading->lines, &reading->size);
	if (!reading->report)
		return -1;
	error = pthread_create(&reading->thread, NULL, run, reading);
	if (error) {
		fclose(reading->report);
		free(reading->lines);
		errno = error;
		return -1;
	}
	reading->running = true;
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
	char *rest, *line;
	uint64_t ended;

	if (read(reading->fd, &ended, sizeof(ended)) != sizeof(ended))
		return NULL;
	pthread_join(reading->thread, NULL);
	reading->running = false;
	if (fclose(reading->report) && reading->settings) {
		settings_free(reading->settings);
		reading->settings = NULL;
	}
	rest = reading->lines;
	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			report(context, line);
	free(reading->lines);
	return reading->settings;
}
