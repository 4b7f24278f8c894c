/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "common/clock.h"
#include "core/device.h"
#include "shell/shell.h"

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
	char status[sizeof(shell->status)];

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
	strcpy(shell->status, status);
	sd_notifyf(0, "STATUS=%s", status);
}
