/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "core/client.h"
#include "core/device.h"
#include "shell/shell.h"
#include "state/manager.h"
#include "state/store.h"

void shell_tick(struct shell *shell)
{
	shell->now = clock_now();
}

void shell_handle(struct shell *shell, const struct event *event)
{
	core_handle(shell->core, shell->now, event);
}

size_t shell_new_records(const struct shell *shell)
{
	size_t nr = 0;

	while (core_device(shell->core, nr))
		nr++;
	return nr;
}

void shell_show_status(struct shell *shell)
{
	const struct device *device;
	unsigned int open = 0, nr = 0;
	char status[sizeof(shell->status)], message[sizeof(status) + 16];

	while ((device = core_device(shell->core, nr))) {
		open += device->phase == DEVICE_OPEN;
		nr++;
	}
	if (*shell->problem)
		snprintf(status, sizeof(status), "%s: %s", shell->settings ?
			 "The last reload was rejected" : "Nothing new is granted", shell->problem);
	else
		snprintf(status, sizeof(status), "%u of %u devices are open", open, nr);
	if (!strcmp(status, shell->status))
		return;
	snprintf(message, sizeof(message), "STATUS=%s", status);
	if (!manager_send(message, -1))
		strcpy(shell->status, status);
	else if (errno == EAGAIN)
		shell->unsent = true;
}

void shell_go_on(struct shell *shell)
{
	const struct client *client;

	store_go_on();
	if (!shell->unsent)
		return;
	shell->unsent = false;
	shell_show_status(shell);
	/* Their hellos wait. */
	for (size_t i = 0; (client = core_client(shell->core, i)); i++)
		if (!client->greeted)
			connections_go_on(shell->connections, client->r.id);
}
