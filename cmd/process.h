/* SPDX-License-Identifier: MIT */
/* The processes of this machine, and what they have open and mapped. */
#ifndef CMD_PROCESS_H
#define CMD_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Its name, made safe for terminals and JSON; "?" if it no longer exists. */
void process_name(const char *pid, char name[32]);
/* The same with /proc below @root. */
void process_name_below(const char *root, const char *pid, char name[32]);

/* These stop at the first call that returns true, and then return true. */

/* Each process, by its number. */
bool process_any(bool (*each)(const char *pid, void *data), void *data);
/* Each file that a process has open. */
struct open_file {
	const char *pid, *fd;
	mode_t mode;
	dev_t number;		/* of a device */
};
bool process_any_file(const char *pid, bool (*each)(const struct open_file *file, void *data), void *data);
/* Each mapping of a process, a line of its maps. */
bool process_any_mapping(const char *pid, bool (*each)(const char *line, void *data), void *data);

#endif
