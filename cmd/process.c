/* SPDX-License-Identifier: MIT */
/* The processes of this machine, and what they have open and mapped. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/printable.h"
#include "process.h"

void process_name_below(const char *root, const char *pid, char name[32])
{
	char path[256];
	FILE *file;

	strcpy(name, "?");
	snprintf(path, sizeof(path), "%.200s/proc/%.20s/comm", root, pid);
	file = fopen(path, "re");
	if (file && fgets(name, 32, file))
		name[strcspn(name, "\n")] = '\0';
	if (file)
		fclose(file);
	make_printable(name);
}

void process_name(const char *pid, char name[32])
{
	process_name_below("", pid, name);
}

bool process_any(bool (*each)(const char *pid, void *data), void *data)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = !entry->d_name[strspn(entry->d_name, "0123456789")] && each(entry->d_name, data);
	if (dir)
		closedir(dir);
	return found;
}

bool process_any_file(const char *pid, bool (*each)(const struct open_file *file, void *data), void *data)
{
	struct dirent *entry;
	bool found = false;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		struct open_file file = { .pid = pid, .fd = entry->d_name };
		struct statx status;

		/* Does not wait for a file server that no longer answers. */
		if (entry->d_name[0] == '.' ||
		    statx(dirfd(dir), entry->d_name, AT_STATX_DONT_SYNC, STATX_TYPE, &status))
			continue;
		file.mode = status.stx_mode;
		file.number = makedev(status.stx_rdev_major, status.stx_rdev_minor);
		found = each(&file, data);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool process_any_mapping(const char *pid, bool (*each)(const char *line, void *data), void *data)
{
	char path[64], line[8192];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = each(line, data);
	if (file)
		fclose(file);
	return found;
}
