/* SPDX-License-Identifier: MIT */
/* Printing: sizes for people, JSON for programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "output.h"

const char *human_size(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	static char text[32];
	unsigned int unit = 0;

	while (unit < 4 && bytes && !(bytes % 1024)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, sizeof(text), "%llu %s", (unsigned long long)bytes, units[unit]);
	return text;
}

const char *bar_kind(const struct vdb_bar *bar)
{
	static char text[64];

	if (!bar->memory)
		return "I/O ports";
	snprintf(text, sizeof(text), "%s-bit memory%s", bar->is_64bit ? "64" : "32",
		 bar->prefetchable ? ", prefetchable" : "");
	return text;
}

json_t *json_range(uint64_t offset, uint64_t length)
{
	return json_pack("{s:I,s:I}", "offset", (json_int_t)offset, "length", (json_int_t)length);
}

void print_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
}

unsigned int terminal_width(void)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");

	if (columns && atoi(columns) > 0)
		return atoi(columns);
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return 80;
}
