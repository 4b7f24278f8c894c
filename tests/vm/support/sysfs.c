// SPDX-License-Identifier: MIT
/* The lab's device names, and operations on devices through sysfs. */
#define _GNU_SOURCE
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

#define LAB_ENV "/etc/lab.env"

const char *lab_find(const char *name)
{
	static char bdf[32];
	char key[64], *end;
	char text[4096];
	const char *line;

	if (file_read(LAB_ENV, text, sizeof(text)) < 0)
		return NULL;
	snprintf(key, sizeof(key), "LAB_%s=", name);
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, strlen(key)))
			continue;
		line += strlen(key);
		line += *line == '"' || *line == '\'';
		snprintf(bdf, sizeof(bdf), "%s", line);
		end = strpbrk(bdf, "\"'\n ");
		if (end)
			*end = '\0';
		return *bdf ? strdup(bdf) : NULL;
	}
	return NULL;
}

const char *lab_bdf(const char *name)
{
	const char *bdf = lab_find(name);

	ck_assert_msg(bdf, "%s names no device LAB_%s", LAB_ENV, name);
	return bdf;
}

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int error;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

long file_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;
	int error;

	if (fd < 0)
		return -1;
	do {
		n = read(fd, text + length, size - 1 - length);
		length += n > 0 ? (size_t)n : 0;
	} while (n > 0 && length < size - 1);
	error = errno;
	close(fd);
	errno = error;
	text[length] = '\0';
	return n < 0 ? -1 : (long)length;
}

int sysfs_write(const char *bdf, const char *file, const char *text)
{
	char path[PATH_MAX];

	function_path(bdf, file, path, sizeof(path));
	return file_write(path, text);
}

int driver_unbind(const char *bdf)
{
	return sysfs_write(bdf, "driver/unbind", bdf);
}

static bool bound_to(const char *bdf, const char *driver)
{
	char name[64];

	return function_link(bdf, "driver", name, sizeof(name)) &&
	       !strcmp(name, driver);
}

bool driver_bound(const char *bdf)
{
	return bound_to(bdf, DRIVER);
}

void driver_bind(const char *bdf, const char *driver)
{
	if (bound_to(bdf, driver))
		return;
	driver_unbind(bdf);
	ck_assert_works(sysfs_write(bdf, "driver_override", driver));
	ck_assert_works(file_write("/sys/bus/pci/drivers_probe", bdf));
	ck_assert_msg(bound_to(bdf, driver), "%s does not bind %s", driver, bdf);
}

void driver_rebind(const char *bdf)
{
	char path[PATH_MAX];

	/* A test that failed may have left it removed. */
	function_path(bdf, "", path, sizeof(path));
	if (access(path, F_OK))
		ck_assert_works(file_write("/sys/bus/pci/rescan", "1"));
	driver_bind(bdf, DRIVER);
}
