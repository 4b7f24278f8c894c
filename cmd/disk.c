/* SPDX-License-Identifier: MIT */
/* Whether a function's disks are in use: mounted, swap, or part of something else. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "in_use.h"

/*
 * The disk of a line of mountinfo or swaps.  Some file systems have device numbers of
 * their own, but name their source.
 */
static const struct node *disk_of(const struct nodes *nodes, struct libmnt_fs *fs)
{
	const char *source = mnt_fs_get_srcpath(fs);
	struct stat file;
	bool named = source && source[0] == '/' && !stat(source, &file) && S_ISBLK(file.st_mode);

	for (size_t i = 0; i < nodes->nr; i++) {
		const struct node *node = &nodes->list[i];

		if (node->block && (node->number == mnt_fs_get_devno(fs) || (named && node->number == file.st_rdev) ||
				    (source && !strncmp(source, "/dev/", 5) && !strcmp(source + 5, node->name))))
			return node;
	}
	return NULL;
}

static bool is_listed(const char *root, const char *list, const struct nodes *nodes, char *why, size_t size)
{
	const struct node *node = NULL;
	struct libmnt_table *table;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	char path[256];

	snprintf(path, sizeof(path), "%.200s/proc/%s", root, list);
	table = mnt_new_table_from_file(path);
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	if (!iter)
		abort();
	while (table && !node && !mnt_table_next_fs(table, iter, &fs))
		node = disk_of(nodes, fs);
	/* A kernel that cannot swap does not have the list. */
	if (!table && (strcmp(list, "swaps") || !access(path, F_OK)))
		snprintf(why, size, "%s cannot be read", path);
	else if (node && mnt_fs_get_target(fs) && !mnt_fs_is_swaparea(fs))
		snprintf(why, size, "/dev/%s is mounted at %s; unmount it first", node->name, mnt_fs_get_target(fs));
	else if (node)
		snprintf(why, size, "/dev/%s is swap; swapoff it first", node->name);
	else
		why[0] = '\0';
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return why[0];
}

/* dm, md and others list the disks that they are made of. */
static bool has_holder(const char *root, const struct node *node, char *why, size_t size)
{
	struct dirent *entry;
	char path[256];
	DIR *dir;

	snprintf(path, sizeof(path), "%.200s/sys/dev/block/%u:%u/holders", root, major(node->number), minor(node->number));
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return false;
	do {
		errno = 0;
		entry = dir ? readdir(dir) : NULL;
	} while (entry && entry->d_name[0] == '.');
	if (entry)
		snprintf(why, size, "/dev/%s is part of %.60s; stop that first", node->name, entry->d_name);
	else if (!dir || errno)
		snprintf(why, size, "what /dev/%s is part of cannot be read", node->name);
	else
		why[0] = '\0';
	if (dir)
		closedir(dir);
	return why[0];
}

bool disk_in_use(const char *root, const struct nodes *nodes, char *why, size_t size)
{
	bool any = false;

	for (size_t i = 0; i < nodes->nr; i++) {
		any |= nodes->list[i].block;
		if (nodes->list[i].block && has_holder(root, &nodes->list[i], why, size))
			return true;
	}
	return any && (is_listed(root, "self/mountinfo", nodes, why, size) || is_listed(root, "swaps", nodes, why, size));
}

/*
 * A disk that is mounted, here or in another namespace, or that is a part of something
 * is open exclusively, and then another exclusive open fails.
 */
static bool is_taken(const struct node *node, char *why, size_t size)
{
	char path[80];
	struct stat file;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", node->name);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	why[0] = '\0';
	if (fd < 0 && errno == EBUSY)
		snprintf(why, size, "%s is in use: mounted in another namespace, or part of a file system or pool; end that first",
			 path);
	/* A drive without a medium cannot be mounted. */
	else if (fd < 0 && errno != ENOMEDIUM && errno != ENXIO)
		snprintf(why, size, "%s cannot be opened to see whether it is in use: %s", path, strerror(errno));
	else if (fd >= 0 && (fstat(fd, &file) || !S_ISBLK(file.st_mode) || file.st_rdev != node->number))
		snprintf(why, size, "%s is another device, so the command cannot see whether the disk is in use", path);
	if (fd >= 0)
		close(fd);
	return why[0];
}

bool disk_is_taken(const struct nodes *nodes, char *why, size_t size)
{
	for (size_t i = 0; i < nodes->nr; i++)
		if (nodes->list[i].block && is_taken(&nodes->list[i], why, size))
			return true;
	return false;
}
