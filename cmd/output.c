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

json_t *json_text(const char *text)
{
	return *text ? json_string(text) : json_null();
}

json_t *json_number(uint64_t number, uint64_t none)
{
	return number == none ? json_null() : json_integer(number);
}

json_t *json_group(const char *group)
{
	return *group ? json_integer(strtoull(group, NULL, 10)) : json_null();
}

void json_add_client(json_t *object, const char *client, uint32_t pid, uint32_t uid, uint32_t gid)
{
	json_object_set_new(object, "client", json_text(client));
	json_object_set_new(object, "pid", json_number(pid, 0));
	json_object_set_new(object, "uid", pid ? json_integer(uid) : json_null());
	json_object_set_new(object, "gid", pid ? json_integer(gid) : json_null());
}

void print_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
}

void print_json_line(json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
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
