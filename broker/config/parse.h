/* SPDX-License-Identifier: MIT */
/* settings_parse() with mistakes so far: if there are any, it reports more, and returns NULL. */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "mistakes.h"
#include "settings.h"

struct settings *settings_parse_more(const struct source *sources, size_t nr,
				     const struct names *names, struct mistakes *mistakes);

#endif
