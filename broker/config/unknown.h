/* SPDX-License-Identifier: MIT */
/* Reports an unknown setting, and suggests a known one. */
#ifndef CONFIG_UNKNOWN_H
#define CONFIG_UNKNOWN_H

#include "mistakes.h"
#include "schema.h"

void unknown_setting(struct mistakes *mistakes, const struct place *place, const char *name,
		     const struct section *section);

#endif
