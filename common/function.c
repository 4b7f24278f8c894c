/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/function.h"

void function_path(const char *bdf, const char *file, char *path, size_t size)
{
	snprintf(path, size, "/sys/bus/pci/devices/%s/%s", bdf, file);
}

bool function_link(const char *bdf, const char *link, char *name, size_t size)
{
	char path[256], target[PATH_MAX];
	const char *base;
	ssize_t length;

	function_path(bdf, link, path, sizeof(path));
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	base = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (strlen(base) >= size)
		return false;
	strcpy(name, base);
	return true;
}
