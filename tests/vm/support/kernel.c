// SPDX-License-Identifier: MIT
/* The running kernel: its modules and its command line. */
#define _GNU_SOURCE
#include "kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sysfs.h"

int run_program(const char *path, ...)
{
	char *argv[8] = { (char *)path };
	va_list args;
	int i, status;
	pid_t pid;

	va_start(args, path);
	for (i = 1; i < 7 && (argv[i] = va_arg(args, char *)); i++)
		;
	va_end(args);

	pid = fork();
	if (!pid) {
		execv(path, argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 255;
	return WEXITSTATUS(status);
}

void module_load(const char *name)
{
	if (!run_program("/usr/bin/modprobe", name, NULL))
		return;
	fprintf(stderr, "the kernel module %s does not load\n", name);
	exit(1);
}

bool module_exists(const char *name)
{
	return !run_program("/usr/bin/modprobe", "--dry-run", "--quiet", name, NULL);
}

bool kernel_is(int version, int patchlevel)
{
	struct utsname name;
	int v = 0, p = 0;

	uname(&name);
	sscanf(name.release, "%d.%d", &v, &p);
	return v > version || (v == version && p >= patchlevel);
}

bool kernel_has_huge_pages(void)
{
	return !access("/sys/kernel/mm/transparent_hugepage", F_OK);
}

bool kernel_is_realtime(void)
{
	char text[8];

	return file_read("/sys/kernel/realtime", text, sizeof(text)) > 0 && *text == '1';
}

bool kernel_started_with(const char *word)
{
	char line[4096], *rest = line, *found;

	if (file_read("/proc/cmdline", line, sizeof(line)) < 0)
		return false;
	while ((found = strsep(&rest, " \n")))
		if (!strcmp(found, word))
			return true;
	return false;
}
