/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/datagrams.h"
#include "shell/journal_socket.h"

#define MAX_KEPT	1000

struct kept {
	STAILQ_ENTRY(kept) next;
	size_t size;
	char bytes[];
};

static struct datagrams journal = { .path = "/run/systemd/journal/socket", .fd = -1 };
static STAILQ_HEAD(, kept) all_kept = STAILQ_HEAD_INITIALIZER(all_kept);
static unsigned int nr_kept, nr_lost;

int journal_socket_fd(void)
{
	return datagrams_fd(&journal);
}

/* True: it is sent, or it never can be. */
static bool send_now(const char *bytes, size_t size)
{
	return !datagrams_send(&journal, bytes, size, -1) || errno != EAGAIN;
}

static bool report_lost(void)
{
	char text[128];

	if (!nr_lost)
		return true;
	snprintf(text, sizeof(text), "MESSAGE=%u entries are lost: the journal did not read\n"
		 "PRIORITY=4\nSYSLOG_IDENTIFIER=vfio-dmabufd\n", nr_lost);
	if (!send_now(text, strlen(text)))
		return false;
	nr_lost = 0;
	return true;
}

void journal_socket_go_on(void)
{
	struct kept *kept;

	while ((kept = STAILQ_FIRST(&all_kept)) && send_now(kept->bytes, kept->size)) {
		STAILQ_REMOVE_HEAD(&all_kept, next);
		nr_kept--;
		free(kept);
	}
	if (!kept)
		report_lost();
}

/* Each field is a line.  A line feed in a value would begin another field. */
static struct kept *compose(const struct iovec *fields, unsigned int nr)
{
	size_t size = 0;
	struct kept *entry;

	for (unsigned int i = 0; i < nr; i++)
		size += fields[i].iov_len + 1;
	entry = malloc(sizeof(*entry) + size);
	if (!entry)
		return NULL;
	entry->size = 0;
	for (unsigned int i = 0; i < nr; i++) {
		const char *text = fields[i].iov_base;

		for (size_t j = 0; j < fields[i].iov_len; j++)
			entry->bytes[entry->size++] = text[j] == '\n' ? ' ' : text[j];
		entry->bytes[entry->size++] = '\n';
	}
	return entry;
}

void journal_socket_send(const struct iovec *fields, unsigned int nr)
{
	struct kept *entry = compose(fields, nr);

	if (!entry) {
		nr_lost++;
		return;
	}
	if (!nr_kept && report_lost() && send_now(entry->bytes, entry->size)) {
		free(entry);
	} else if (nr_kept < MAX_KEPT) {
		STAILQ_INSERT_TAIL(&all_kept, entry, next);
		nr_kept++;
	} else {
		nr_lost++;
		free(entry);
	}
}
