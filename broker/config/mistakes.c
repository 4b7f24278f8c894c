/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "mistakes.h"

const char *place_text(const struct place *place, char text[PLACE_TEXT])
{
	if (place->line)
		snprintf(text, PLACE_TEXT, "%.256s:%u:%u", place->file, place->line, place->column);
	else
		snprintf(text, PLACE_TEXT, "%.256s", place->file);
	return text;
}

void mistake(struct mistakes *mistakes, const struct place *place, const char *format, ...)
{
	char where[PLACE_TEXT], what[1024], line[PLACE_TEXT + 2 + sizeof(what)];
	va_list args;

	if (++mistakes->nr > MAX_MISTAKES + 1)
		return;
	if (mistakes->nr > MAX_MISTAKES) {
		mistakes->report(mistakes->context,
				 "there are more mistakes; correct these first");
		return;
	}
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s: %s", place_text(place, where), what);
	/* Text that is quoted from a file must not break the line. */
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	mistakes->report(mistakes->context, line);
}
