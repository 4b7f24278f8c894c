/* SPDX-License-Identifier: MIT */
/* The broker's systemd units. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"
#include "whole_file.h"

#define SERVICE	"vfio-dmabufd.service"
#define SOCKET	"vfio-dmabufd.socket"

struct unit {
	char id[64];
	char load[32];		/* "loaded", "not-found", "masked", ... */
	char active[32];	/* "active", "failed", ... */
	char result[64];	/* why it has failed: "exit-code", "start-limit-hit", ... */
};

static void set(struct unit *unit, const char *line, int length)
{
	const struct {
		const char *name;
		char *value;
		size_t size;
	} properties[] = {
		{ "Id=", unit->id, sizeof(unit->id) },
		{ "LoadState=", unit->load, sizeof(unit->load) },
		{ "ActiveState=", unit->active, sizeof(unit->active) },
		{ "Result=", unit->result, sizeof(unit->result) },
	};

	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
		int skip = strlen(properties[i].name);

		if (length >= skip && !strncmp(line, properties[i].name, skip))
			snprintf(properties[i].value, properties[i].size, "%.*s", length - skip, line + skip);
	}
}

static void judge_unit(const struct unit *unit, struct findings *findings)
{
	if (!strcmp(unit->load, "masked")) {
		found(findings, "unit", WARNING, "%s is masked, so it cannot be started", unit->id);
		advise(findings, "if you want the broker: systemctl unmask %s", unit->id);
	} else if (!strcmp(unit->load, "bad-setting") || !strcmp(unit->load, "error")) {
		found(findings, "unit", MISSING, "%s cannot be loaded (%s)", unit->id, unit->load);
		advise(findings, "systemd-analyze verify %s says why", unit->id);
	} else if (!strcmp(unit->active, "failed")) {
		found(findings, "unit", MISSING, "%s has failed (%s)", unit->id, unit->result);
		/* If the service reaches the start limit, the socket fails as well. */
		if (strstr(unit->result, "start-limit-hit"))
			advise(findings, "correct what journalctl -u " SERVICE " reports; then systemctl reset-failed " SERVICE " " SOCKET
			       ", and systemctl start " SOCKET);
		else
			advise(findings, "correct what journalctl -u %s reports; then systemctl reset-failed %s, and systemctl restart %s",
			       unit->id, unit->id, unit->id);
	}
}

void judge_units(const char *text, struct findings *findings)
{
	struct unit unit = { .id = "" };

	for (const char *line = text;;) {
		int length = strcspn(line, "\n");

		if (length)
			set(&unit, line, length);
		if (!length) {
			judge_unit(&unit, findings);
			unit = (struct unit){ .id = "" };
		}
		line += length;
		if (!*line)
			break;
		line++;
	}
}

void check_units(struct findings *findings)
{
	char *text = whole_output((char *[]){ "systemctl", "show", "--property=Id,LoadState,ActiveState,Result",
					      SOCKET, SERVICE, NULL });

	if (text)
		judge_units(text, findings);
	free(text);
}
