/* SPDX-License-Identifier: MIT */
/* Whether a process has a device node open or mapped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "in_use.h"
#include "process.h"

/* A file that has been seen in a mapping. */
struct seen {
	unsigned long long inode;
	unsigned int major, minor;
};

struct search {
	const char *root;
	const struct nodes *nodes;
	void *seen;		/* tree of struct seen */
	char *why;
	size_t size;
};

static bool is_number(const char *name)
{
	return !name[strspn(name, "0123456789")];
}

/* A process that ends meanwhile does not use anything. */
static bool is_gone(int error)
{
	return error == ENOENT || error == ESRCH;
}

static void process_says(const struct search *search, const char *pid, const char *what, const char *then)
{
	char name[32];

	process_name_below(search->root, pid, name);
	snprintf(search->why, search->size, "process %.20s (%s) %s%s", pid, name, what, then);
}

/* If this is not known, the function counts as in use. */
static bool cannot_look(const struct search *search, const char *pid, const char *what, int error)
{
	char text[96];

	snprintf(text, sizeof(text), "; what it has open counts as in use (%s: %s)", what, strerror(error));
	process_says(search, pid, "cannot be examined", text);
	return true;
}

/*
 * 1 with a reason if the file is one of the nodes, 0 if it is not, -1 with errno if this
 * cannot be found out.
 */
static int is_node(const struct search *search, int dir, const char *file, const char *pid, const char *how)
{
	struct statx status;
	char text[96];

	/* Does not wait for a file server that does not answer. */
	if (statx(dir, file, AT_STATX_DONT_SYNC, STATX_TYPE, &status))
		return -1;
	if (!S_ISCHR(status.stx_mode) && !S_ISBLK(status.stx_mode))
		return 0;
	for (size_t i = 0; i < search->nodes->nr; i++) {
		const struct node *node = &search->nodes->list[i];

		if (node->block != S_ISBLK(status.stx_mode) ||
		    node->number != makedev(status.stx_rdev_major, status.stx_rdev_minor))
			continue;
		snprintf(text, sizeof(text), "has /dev/%.63s %s", node->name, how);
		process_says(search, pid, text, "; end that first");
		return 1;
	}
	return 0;
}

/* Calls @each for the entries of a directory of a process, until it returns true, and returns true then. */
static bool each_entry(struct search *search, const char *pid, const char *name,
		       bool (*each)(struct search *search, const char *pid, int dir, const char *entry))
{
	struct dirent *entry;
	bool found = false;
	char path[256];
	int error;
	DIR *dir;

	snprintf(path, sizeof(path), "%.200s/proc/%s%s%s", search->root, pid, name[0] ? "/" : "", name);
	dir = opendir(path);
	error = dir ? 0 : errno;
	while (dir && !found && !error) {
		errno = 0;
		entry = readdir(dir);
		error = errno;
		if (!entry)
			break;
		if (entry->d_name[0] != '.')
			found = each(search, pid, dirfd(dir), entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (error && !is_gone(error))
		return cannot_look(search, pid, name, error);
	return found;
}

/* Access is only denied to files of a user's own file system, which has no device nodes. */
static bool try_file(struct search *search, const char *pid, int dir, const char *entry)
{
	return is_node(search, dir, entry, pid, "open") > 0;
}

/* Threads can have their own files. */
static bool try_thread(struct search *search, const char *pid, int dir, const char *thread)
{
	char path[64];

	(void)dir;
	if (!is_number(thread) ||
	    (strcmp(pid, thread) && !syscall(SYS_kcmp, atoi(pid), atoi(thread), KCMP_FILES, 0, 0)))
		return false;
	snprintf(path, sizeof(path), "task/%.20s/fd", thread);
	return each_entry(search, pid, path, try_file);
}

static int compare_seen(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct seen));
}

static void remember_seen(struct search *search, const struct seen *file)
{
	struct seen *copy = malloc(sizeof(*copy));

	if (!copy)
		abort();
	memcpy(copy, file, sizeof(*copy));
	if (!tsearch(copy, &search->seen, compare_seen))
		abort();
}

/* A mapping keeps a node open after its fd is closed. */
static bool maps_node(struct search *search, const char *pid)
{
	char path[256], line[8192];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%.200s/proc/%s/maps", search->root, pid);
	file = fopen(path, "re");
	if (!file)
		return !is_gone(errno) && cannot_look(search, pid, "maps", errno);
	while (!found && fgets(line, sizeof(line), file)) {
		unsigned long long start, end;
		struct seen mapped;
		int ret;

		memset(&mapped, 0, sizeof(mapped));
		if (sscanf(line, "%llx-%llx %*s %*s %x:%x %llu", &start, &end, &mapped.major, &mapped.minor,
			   &mapped.inode) != 5 || !mapped.inode || tfind(&mapped, &search->seen, compare_seen))
			continue;
		snprintf(path, sizeof(path), "%.200s/proc/%s/map_files/%llx-%llx", search->root, pid, start, end);
		ret = is_node(search, AT_FDCWD, path, pid, "mapped");
		found = ret > 0 || (ret && errno == EPERM && cannot_look(search, pid, "map_files", errno));
		if (!ret)
			remember_seen(search, &mapped);
	}
	fclose(file);
	return found;
}

static bool try_process(struct search *search, const char *proc, int dir, const char *pid)
{
	(void)proc;
	(void)dir;
	return is_number(pid) && (each_entry(search, pid, "task", try_thread) || maps_node(search, pid));
}

bool opened_in_use(const char *root, const struct nodes *nodes, char *why, size_t size)
{
	struct search search = { .root = root, .nodes = nodes, .why = why, .size = size };
	bool used = nodes->nr && each_entry(&search, "", "", try_process);

	tdestroy(search.seen, free);
	return used;
}
