/* SPDX-License-Identifier: MIT */
/* Reading the configuration. */
#ifndef SHELL_RELOAD_H
#define SHELL_RELOAD_H

#include "config/settings.h"

struct flow_limits;
struct shell;

/*
 * Reads the configuration and logs each mistake.  The first is also kept for the status.
 * NULL: it has mistakes.
 */
struct settings *reload_read(struct shell *shell);
/* Limits of connections.  @settings: NULL: the defaults. */
void reload_limits(struct flow_limits *limits, const struct settings *settings);
/* Reads it again, and puts it into force.  -1: it has mistakes or does not fit; nothing changes. */
int reload_settings(struct shell *shell);

#endif
