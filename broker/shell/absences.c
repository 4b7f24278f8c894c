/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/device.h"
#include "shell/absences.h"
#include "shell/shell.h"

struct absence {
	uint64_t device;	/* first: the table looks for it */
	char why[VDP_TEXT];
};

void absences_explain(const void *data, const struct device *device, char *text, size_t size)
{
	const struct shell *shell = data;
	const char *core = device->why ? device->why : "";
	const char *worker = devices_why(shell->devices, device->number);

	snprintf(text, size, "%s%s%s", core, *core && *worker ? ": " : "", worker);
}

static struct absence *find_or_add(struct absences *absences, uint32_t device)
{
	struct absence *absence = table_find(&absences->table, device);

	if (absence || !table_reserve(&absences->table, 1))
		return absence;
	absence = calloc(1, sizeof(*absence));
	if (!absence)
		return NULL;
	absence->device = device;
	table_add(&absences->table, absence);
	return absence;
}

bool absences_are_news(struct absences *absences, uint32_t device, const char *why)
{
	bool known = table_find(&absences->table, device);
	struct absence *absence = find_or_add(absences, device);

	if (!absence)
		return true;
	if (known && !strncmp(absence->why, why, sizeof(absence->why) - 1))
		return false;
	snprintf(absence->why, sizeof(absence->why), "%s", why);
	return true;
}

void absences_end(struct absences *absences, uint32_t device)
{
	struct absence *absence = table_find(&absences->table, device);

	if (!absence)
		return;
	table_remove(&absences->table, absence);
	free(absence);
}

void absences_free(struct absences *absences)
{
	for (size_t i = 0; i < absences->table.nr; i++)
		free(absences->table.items[i]);
	table_free(&absences->table);
}
