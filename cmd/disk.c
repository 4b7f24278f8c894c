/* SPDX-License-Identifier: MIT */
/*
 * Whether somebody would miss a function's disks.
 *
 * They are found from the other side: every block device whose real path goes
 * through the function belongs to it, however deep.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "in_use.h"
#include "parse.h"
#include "process.h"
#include "sysfs.h"

struct disk {
	char name[64];		/* of the disk or partition, as in /sys */
	char numbers[32];	/* "259:1" */
	dev_t number;
};

struct disks {
	struct disk *list;
	size_t nr;
	char *why;
	size_t size;
};

static bool goes_through(const char *path, const char *bdf)
{
	char real[PATH_MAX], part[32];

	snprintf(part, sizeof(part), "/%s/", bdf);
	return realpath(path, real) && strstr(real, part);
}

/* The disk of an NVMe subsystem that can have several controllers is nobody's alone. */
static bool shares_disk(const char *real, const char *bdf)
{
	static const char parent[] = "/nvme-subsystem/";
	const char *name = strstr(real, parent);
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	int length;
	DIR *dir;

	if (!name)
		return false;
	name += strlen(parent);
	length = name - real + strcspn(name, "/");
	snprintf(path, sizeof(path), "%.*s", length, real);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%.*s/%s", length, real, entry->d_name);
		found = entry->d_name[0] != '.' && goes_through(path, bdf);
	}
	if (dir)
		closedir(dir);
	return found;
}

static void find_disks(const char *bdf, struct disks *disks)
{
	DIR *dir = opendir("/sys/class/block");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[320], real[PATH_MAX];
		struct disk *disk;

		snprintf(path, sizeof(path), "/sys/class/block/%s", entry->d_name);
		if (entry->d_name[0] == '.' || !realpath(path, real) ||
		    (!goes_through(path, bdf) && !shares_disk(real, bdf)))
			continue;
		disks->list = reallocarray(disks->list, disks->nr + 1, sizeof(*disk));
		if (!disks->list)
			abort();
		disk = &disks->list[disks->nr];
		snprintf(disk->name, sizeof(disk->name), "%.63s", entry->d_name);
		strcat(path, "/dev");
		disk->number = device_number(path);
		/* A path of several to a disk has none: nobody can open it. */
		if (disk->number && !file_get(path, disk->numbers, sizeof(disk->numbers)))
			disks->nr++;
	}
	if (dir)
		closedir(dir);
}

static bool is_mounted(const struct disk *disk, char *why, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		found = mounts_block_device(line, disk->name, disk->numbers);
		if (found && sscanf(line, "%*d %*d %*s %*s %255s", point) == 1)
			snprintf(why, size, "its disk %s is mounted at %s; unmount it first", disk->name, point);
	}
	if (file)
		fclose(file);
	return found;
}

static bool is_swap(const struct disk *disk, char *why, size_t size)
{
	FILE *file = fopen("/proc/swaps", "re");
	char line[512], device[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "/dev/%255s", device) == 1 && !strcmp(device, disk->name);
	if (file)
		fclose(file);
	if (found)
		snprintf(why, size, "its disk %s is swap; swapoff it first", disk->name);
	return found;
}

static bool has_holder(const struct disk *disk, char *why, size_t size)
{
	char path[512];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/block/%s/holders", disk->name);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		found = true;
		snprintf(why, size, "its disk %s is part of %.60s; take that down first", disk->name, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/*
 * Whoever mounts a block device, here or in another namespace, or makes it part
 * of something, has it for itself, and nobody else can.
 */
static bool is_taken(const struct disk *disk, char *why, size_t size)
{
	char path[80];
	struct stat file;
	bool taken;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", disk->name);
	for (char *c = path; (c = strchr(c, '!')); )
		*c = '/';
	if (stat(path, &file) || !S_ISBLK(file.st_mode) || file.st_rdev != disk->number)
		return false;
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	taken = fd < 0 && errno == EBUSY;
	if (fd >= 0)
		close(fd);
	if (taken)
		snprintf(why, size, "its disk %s is in use: mounted in another namespace, or part of a file system or pool; end that first",
			 disk->name);
	return taken;
}

static bool opens_disk(const struct open_file *file, void *data)
{
	const struct disks *disks = data;
	char name[32];

	if (!S_ISBLK(file->mode))
		return false;
	for (size_t i = 0; i < disks->nr; i++) {
		if (disks->list[i].number != file->number)
			continue;
		process_name(file->pid, name);
		snprintf(disks->why, disks->size, "process %.20s (%s) has its disk %s open; end that first",
			 file->pid, name, disks->list[i].name);
		return true;
	}
	return false;
}

static bool has_disk_open(const char *pid, void *data)
{
	return process_any_file(pid, opens_disk, data);
}

bool disk_in_use(const char *bdf, char *why, size_t size)
{
	struct disks disks = { .why = why, .size = size };
	bool used = false;

	find_disks(bdf, &disks);
	for (size_t i = 0; i < disks.nr && !used; i++)
		used = is_mounted(&disks.list[i], why, size) || is_swap(&disks.list[i], why, size) ||
		       has_holder(&disks.list[i], why, size);
	used = used || (disks.nr && process_any(has_disk_open, &disks));
	for (size_t i = 0; i < disks.nr && !used; i++)
		used = is_taken(&disks.list[i], why, size);
	free(disks.list);
	return used;
}
