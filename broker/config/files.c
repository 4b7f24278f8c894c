/* SPDX-License-Identifier: MIT */
/* Finds and reads the files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "parse.h"

#define MAX_FILE	(1 << 20)
#define MAX_FILES	1024

struct files {
	struct arena arena;
	struct mistakes mistakes;
	struct source sources[1 + MAX_FILES];
	size_t nr;
	char *names[MAX_FILES];
	size_t nr_names;
};

static void cannot(struct files *files, const char *path, const char *what, int error,
		   const char *right)
{
	mistake(&files->mistakes, &(struct place){ .file = path }, "cannot %s: %s; %s", what,
		strerror(error), right);
}

/* Up to MAX_FILE + 1 bytes; -1 with errno. */
static ssize_t read_bytes(int fd, char *bytes)
{
	size_t size = 0;
	ssize_t got;

	do {
		got = read(fd, bytes + size, MAX_FILE + 1 - size);
		size += got > 0 ? got : 0;
	} while (got > 0 && size <= MAX_FILE);
	return got < 0 ? -1 : (ssize_t)size;
}

/* The text of an open file.  NULL: a mistake was reported. */
static char *get_text(struct files *files, const char *path, int fd, size_t *size)
{
	char *bytes = malloc(MAX_FILE + 1), *text = NULL;
	struct place place = { .file = path };
	struct stat stat;
	ssize_t got;

	if (!bytes)
		cannot(files, path, "read", ENOMEM, "free some memory and reload");
	else if (fstat(fd, &stat))
		cannot(files, path, "read", errno, "check the file system");
	else if (!S_ISREG(stat.st_mode))
		mistake(&files->mistakes, &place, "it is not a file; write a regular file");
	else if ((got = read_bytes(fd, bytes)) < 0)
		cannot(files, path, "read", errno, "check the file system");
	else if (got > MAX_FILE)
		mistake(&files->mistakes, &place, "it has more than 1M; divide it into several files");
	else if (!(text = arena_text(&files->arena, bytes, *size = got)))
		cannot(files, path, "read", ENOMEM, "free some memory and reload");
	free(bytes);
	return text;
}

static void add_file(struct files *files, const char *path)
{
	/* Non-blocking, so that a FIFO does not make the broker wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text;
	size_t size;

	if (fd < 0) {
		cannot(files, path, "open", errno, errno == ENOENT ? "create it, or name another file" :
		       "let the broker's user read it");
		return;
	}
	text = get_text(files, path, fd, &size);
	close(fd);
	if (text)
		files->sources[files->nr++] = (struct source){ path, text, size };
}

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name);

	return length > strlen(end) && !strcmp(name + length - strlen(end), end);
}

static void add_name(struct files *files, const char *directory, const char *name)
{
	size_t size = strlen(directory) + strlen(name) + 2;
	char *path;

	if (name[0] == '.' || (!ends_with(name, ".yaml") && !ends_with(name, ".yml") &&
			       !ends_with(name, ".conf")))
		return;
	path = arena_new(&files->arena, size, 1);
	if (!path) {
		cannot(files, directory, "read", ENOMEM, "free some memory and reload");
		return;
	}
	snprintf(path, size, "%s/%s", directory, name);
	if (!ends_with(name, ".yaml"))
		mistake(&files->mistakes, &(struct place){ .file = path },
			"it does not end in .yaml; rename it so that it is read, or remove it");
	else if (files->nr_names == MAX_FILES)
		mistake(&files->mistakes, &(struct place){ .file = path },
			"there are more than %d files; use fewer", MAX_FILES);
	else
		files->names[files->nr_names++] = path;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_directory(struct files *files, const char *path, DIR *dir)
{
	struct dirent *entry;

	while (errno = 0, (entry = readdir(dir)))
		add_name(files, path, entry->d_name);
	if (errno)
		cannot(files, path, "list", errno, "check the file system");
}

static void add_directory(struct files *files, const char *path)
{
	DIR *dir = opendir(path);
	struct stat stat;

	if (!dir) {
		/* A dangling link is a mistake, unlike a directory that does not exist. */
		if (errno != ENOENT || !lstat(path, &stat))
			cannot(files, path, "open", errno,
			       "let the broker's user read and search it");
		return;
	}
	list_directory(files, path, dir);
	closedir(dir);
	qsort(files->names, files->nr_names, sizeof(files->names[0]), by_name);
	for (size_t i = 0; i < files->nr_names; i++)
		add_file(files, files->names[i]);
}

struct settings *settings_read(const char *file, const char *directory, const struct names *names,
			       settings_report *report, void *context)
{
	struct files *files = calloc(1, sizeof(*files));
	struct settings *settings;

	if (!files) {
		report(context, "there is not enough memory to read the configuration; free some and reload");
		return NULL;
	}
	files->mistakes = (struct mistakes){ report, context, 0 };
	add_file(files, file);
	if (directory)
		add_directory(files, directory);
	settings = settings_parse_more(files->sources, files->nr, names, &files->mistakes);
	arena_free(&files->arena);
	free(files);
	return settings;
}
