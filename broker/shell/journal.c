/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/names.h"
#include "core/account.h"
#include "core/client.h"
#include "core/device.h"
#include "core/lease.h"
#include "shell/journal.h"
#include "shell/journal_socket.h"
#include "shell/shell.h"

#define MAX_FIELDS	16
#define FIELD_SIZE	512

/* An entry, field by field. */
struct entry {
	struct iovec iov[MAX_FIELDS];
	char fields[MAX_FIELDS][FIELD_SIZE];
	unsigned int nr;
};

static int level = LOG_INFO;

void journal_set_level(int priority)
{
	level = priority;
}

/* Text that is too long is cut. */
__attribute__((format(printf, 2, 3)))
static void add(struct entry *entry, const char *format, ...)
{
	char *field = entry->fields[entry->nr];
	va_list args;

	va_start(args, format);
	vsnprintf(field, FIELD_SIZE, format, args);
	va_end(args);
	entry->iov[entry->nr++] = (struct iovec){ field, strlen(field) };
}

/*
 * A shell that a service has started has the variable as well, so compare the stream
 * that it names.
 */
static bool find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st))
		return false;
	snprintf(ours, sizeof(ours), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return !strcmp(stream, ours);
}

/* Whether stderr is the journal's. Otherwise people read it. */
static bool has_journal(void)
{
	static int known = -1;

	if (known < 0)
		known = find_journal();
	return known;
}

static void write_entry(struct entry *entry, int priority, const char *message)
{
	if (priority > level)
		return;
	if (!has_journal()) {
		fprintf(stderr, "vfio-dmabufd: %s\n", message);
		return;
	}
	add(entry, "MESSAGE=%s", message);
	add(entry, "PRIORITY=%d", priority);
	add(entry, "SYSLOG_IDENTIFIER=vfio-dmabufd");
	journal_socket_send(entry->iov, entry->nr);
}

void journal_line(int priority, const char *format, ...)
{
	struct entry entry = { .nr = 0 };
	char message[FIELD_SIZE - 16];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	write_entry(&entry, priority, message);
}

/* Leases. */

static const char *const answers[] = {
	[ANSWER_NO_SLICE] = "no such slice, or not allowed",
	[ANSWER_LIMIT] = "the limit of leases is reached",
	[ANSWER_MEMORY_LIMIT] = "the limit of memory is reached",
};

/* @client: NULL: it has disconnected, and nothing is known of it. */
static void add_client(struct entry *entry, const struct client *client)
{
	if (!client)
		return;
	add(entry, "CLIENT=%llu", (unsigned long long)client->r.id);
	add(entry, "CLIENT_NAME=%s", client->r.name);
	add(entry, "CLIENT_PID=%d", client->who->pid);
	add(entry, "CLIENT_UID=%u", client->who->uid);
	add(entry, "CLIENT_GID=%u", client->who->gid);
}

static void describe(char *text, size_t size, const struct client *client)
{
	if (client)
		snprintf(text, size, "\"%s\" (pid %d, uid %u)", client->r.name, client->who->pid,
			 client->who->uid);
	else
		snprintf(text, size, "a client that has disconnected");
}

static void add_lease(struct entry *entry, const struct lease_record *lease)
{
	add(entry, "LEASE=%llu", (unsigned long long)lease->id);
	add(entry, "SLICE=%s", lease->slice);
	add(entry, "SLICE_INDEX=%u", lease->index);
	add(entry, "DEVICE=%s", lease->bdf);
}

/*
 * Tested before the entry is composed: composing is most of the work, and most entries
 * are suppressed.
 */
static bool may_log(struct shell *shell, uint64_t user)
{
	uint32_t suppressed;

	if (!connections_may_log(shell->connections, user, shell->now, &suppressed))
		return false;
	if (suppressed)
		journal_line(LOG_NOTICE, "user %llu: suppressed %u lines",
			     (unsigned long long)user, suppressed);
	return true;
}

/* Why a lease could not be exported: the last failure of its device.  "": not known. */
static const char *why_not_exported(const struct shell *shell, const char *bdf)
{
	const struct device *device;

	for (size_t i = 0; (device = core_device(shell->core, i)); i++)
		if (!strcmp(device->r.bdf, bdf))
			return devices_why(shell->devices, device->number);
	return "";
}

static void log_lease(struct shell *shell, const struct effect *effect)
{
	const struct lease_record *record = effect->saved_lease;
	const struct lease *lease = core_find_lease(shell->core, effect->lease);
	const struct client *client = core_find_client(shell->core, record->client);
	bool granted = effect->log == LOG_GRANTED;
	const char *why = "";
	struct entry entry;
	char message[FIELD_SIZE - 16], who[96];

	/* Clients of a former process can be without an account. */
	if (lease && lease->account && !may_log(shell, lease->account->user))
		return;
	entry.nr = 0;
	describe(who, sizeof(who), client);
	if (record->end == END_EXPORT)
		why = why_not_exported(shell, record->bdf);
	if (granted)
		snprintf(message, sizeof(message), "lease %llu: %s[%u] granted to %s",
			 (unsigned long long)record->id, record->slice, record->index, who);
	else
		snprintf(message, sizeof(message), "lease %llu: %s[%u]%s%s has ended: %s%s%s",
			 (unsigned long long)record->id, record->slice, record->index,
			 client ? " of " : "", client ? who : "", end_text(record->end) ?: "",
			 *why ? ": " : "", why);
	add(&entry, "MESSAGE_ID=%s", granted ? JOURNAL_GRANTED : JOURNAL_ENDED);
	add_lease(&entry, record);
	add_client(&entry, client);
	if (!granted)
		add(&entry, "REASON=%s%s%s", end_text(record->end) ?: "", *why ? ": " : "", why);
	write_entry(&entry, LOG_INFO, message);
}

static void log_denied(struct shell *shell, const struct effect *effect)
{
	const struct client *client = core_find_client(shell->core, effect->client);
	struct entry entry;
	char message[FIELD_SIZE - 16], who[96];

	if (!may_log(shell, client->account->user))
		return;
	entry.nr = 0;
	describe(who, sizeof(who), client);
	snprintf(message, sizeof(message), "%s denied to %s: %s", effect->why, who,
		 answers[effect->answer]);
	add(&entry, "MESSAGE_ID=%s", JOURNAL_DENIED);
	add(&entry, "SLICE=%s", effect->why);
	add_client(&entry, client);
	add(&entry, "REASON=%s", answers[effect->answer]);
	write_entry(&entry, LOG_NOTICE, message);
}

/* Devices. */

static void log_device(struct shell *shell, const struct effect *effect)
{
	static const struct {
		const char *id, *what;
		int priority;
	} kinds[] = {
		[LOG_DEVICE_OPEN] = { JOURNAL_OPEN, "is open", LOG_INFO },
		[LOG_DEVICE_LOST] = { JOURNAL_LOST, "is lost", LOG_ERR },
		[LOG_DEVICE_ABSENT] = { JOURNAL_ABSENT, "is not open", LOG_WARNING },
	};
	const struct device *device = core_find_device(shell->core, effect->device);
	const char *why = devices_why(shell->devices, effect->device);
	bool absent = effect->log == LOG_DEVICE_ABSENT;
	struct entry entry = { .nr = 0 };
	char message[FIELD_SIZE - 16];

	if (!absent)
		absences_end(&shell->absences, effect->device);
	else if (!absences_are_news(&shell->absences, effect->device, why))
		return;
	snprintf(message, sizeof(message), "%s %s%s%s%s%s", device->r.bdf,
		 kinds[effect->log].what, effect->why ? ": " : "", effect->why ? effect->why : "",
		 *why ? ": " : "", why);
	add(&entry, "MESSAGE_ID=%s", kinds[effect->log].id);
	add(&entry, "DEVICE=%s", device->r.bdf);
	add(&entry, "REASON=%s%s%s", effect->why ? effect->why : "", *why ? ": " : "", why);
	write_entry(&entry, kinds[effect->log].priority, message);
}

void journal_effect(struct shell *shell, const struct effect *effect)
{
	switch (effect->log) {
	case LOG_GRANTED:
	case LOG_ENDED:
		log_lease(shell, effect);
		break;
	case LOG_DENIED:
		log_denied(shell, effect);
		break;
	case LOG_DEVICE_OPEN:
	case LOG_DEVICE_LOST:
	case LOG_DEVICE_ABSENT:
		log_device(shell, effect);
		break;
	}
}
