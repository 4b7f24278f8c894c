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

/* Not every kernel's package lists for modprobe what is built in. */
static bool module_is_loaded(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	for (char *c = path; (c = strchr(c, '-')); )
		*c = '_';
	return !access(path, F_OK);
}

void module_load(const char *name)
{
	if (module_is_loaded(name) || !run_program("/usr/bin/modprobe", name, NULL))
		return;
	fprintf(stderr, "the kernel module %s does not load\n", name);
	exit(1);
}

bool module_exists(const char *name)
{
	return module_is_loaded(name) ||
		!run_program("/usr/bin/modprobe", "--dry-run", "--quiet", name, NULL);
}

const char *driver_missing(const char *module)
{
	char *reason;

	if (module_exists(module))
		return NULL;
	if (asprintf(&reason, "this kernel has no driver %s", module) < 0)
		abort();
	return reason;
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
	struct utsname name;

	uname(&name);
	return strstr(name.version, " PREEMPT_RT ");
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
