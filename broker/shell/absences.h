/* SPDX-License-Identifier: MIT */
/* Why devices are not open, and which reason was logged last. */
#ifndef SHELL_ABSENCES_H
#define SHELL_ABSENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/table.h"

struct device;
struct shell;

struct absences {
	struct table table;
};

/* The core's reason and its worker's, "" if there is none; of a struct shell's device. */
void absences_explain(const void *shell, const struct device *device, char *text, size_t size);
/*
 * Whether a device's reason is not the one that was logged last. The core retries to
 * open a device, so the same reason comes many times.
 */
bool absences_are_news(struct absences *absences, uint32_t device, const char *why);
/* It is open, or forgotten: the next reason will be logged. */
void absences_end(struct absences *absences, uint32_t device);
void absences_free(struct absences *absences);

#endif
