// SPDX-License-Identifier: MIT
/* The driver's trace events, recorded in a tracing instance of the tests' own. */
#define _GNU_SOURCE
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "sysfs.h"

#define INSTANCE "/sys/kernel/tracing/instances/vfio-dmabuf-test"

void trace_start(void)
{
	int trace;

	if (mkdir(INSTANCE, 0700))
		ck_assert_int_eq(errno, EEXIST);
	ck_assert_works(file_write(INSTANCE "/tracing_on", "0"));
	trace = open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);
	ck_assert_works(trace);
	close(trace);
	ck_assert_works(file_write(INSTANCE "/events/dmabuf_vfio_pci/enable", "1"));
	ck_assert_works(file_write(INSTANCE "/tracing_on", "1"));
}

/* "  comm-123   [000] .....   12.345678: buffer_fault: device=..." */
static bool parse_line(const char *line, struct trace_event *event)
{
	const char *cpu = strstr(line, " [");
	const char *after_time = cpu ? strstr(cpu, ": ") : NULL;

	return line[0] != '#' && after_time &&
	       sscanf(after_time, ": %31[^:]: %383[^\n]", event->name,
		      event->fields) == 2;
}

size_t trace_read(struct trace_event **events)
{
	struct trace_event event;
	size_t n = 0, room = 0;
	char *line = NULL;
	size_t size = 0;
	FILE *file;

	*events = NULL;
	file = fopen(INSTANCE "/trace", "re");
	ck_assert_msg(file, "%s: %s", INSTANCE "/trace", strerror(errno));
	while (getline(&line, &size, file) >= 0) {
		/* Reading on without them would prove what did not happen. */
		ck_assert_msg(!strstr(line, "LOST"), "events were lost: %s", line);
		if (!parse_line(line, &event))
			continue;
		if (n == room) {
			room = room ? 2 * room : 64;
			*events = reallocarray(*events, room, sizeof(event));
			ck_assert_ptr_nonnull(*events);
		}
		(*events)[n++] = event;
	}
	free(line);
	fclose(file);
	return n;
}

unsigned int trace_count(const char *name, const char *match)
{
	struct trace_event *events;
	unsigned int found = 0;
	size_t n, i;

	n = trace_read(&events);
	for (i = 0; i < n; i++)
		if (!strcmp(events[i].name, name) && strstr(events[i].fields, match))
			found++;
	free(events);
	return found;
}

unsigned int trace_faults(const char *bdf, unsigned int bar)
{
	char match[64];

	snprintf(match, sizeof(match), "device=%s bar=%u ", bdf, bar);
	return trace_count("buffer_fault", match);
}

uint64_t trace_number(const struct trace_event *event, const char *field)
{
	char key[64];
	const char *at = event->fields;

	snprintf(key, sizeof(key), "%s=", field);
	while ((at = strstr(at, key))) {
		if (at == event->fields || at[-1] == ' ')
			return strtoull(at + strlen(key), NULL, 0);
		at++;
	}
	ck_abort_msg("%s has no field %s: %s", event->name, field, event->fields);
}
