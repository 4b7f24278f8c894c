/* SPDX-License-Identifier: MIT */
/* Mistakes in the configuration, one line each. */
#ifndef CONFIG_MISTAKES_H
#define CONFIG_MISTAKES_H

#include <stddef.h>

#define MAX_MISTAKES	50	/* that are reported */

struct place {
	const char *file;
	unsigned int line, column;	/* from 1; 0: the whole file */
};

/* "file:line:column" and the like. */
#define PLACE_TEXT	320
const char *place_text(const struct place *place, char text[PLACE_TEXT]);

struct mistakes {
	void (*report)(void *context, const char *line);
	void *context;
	size_t nr;
};

/* @format: "what is wrong; what would be right". */
__attribute__((format(printf, 3, 4)))
void mistake(struct mistakes *mistakes, const struct place *place, const char *format, ...);

#endif
