// SPDX-License-Identifier: MIT
/*
 * Kernel modules, by way of modprobe(8).  It is run without a shell, because busybox's
 * shell has its own modprobe, which does not know built-in modules.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "modprobe.h"

static int run(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (!pid) {
		execvp(argv[0], argv);
		/* Its directory is not in the PATH of ordinary users, who can run the doctor. */
		execv("/sbin/modprobe", argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && !status ? 0 : -1;
}

int module_load(const char *name)
{
	return run((char *[]){ "modprobe", (char *)name, NULL });
}

bool module_known(const char *name)
{
	return !run((char *[]){ "modprobe", "-q", "-n", (char *)name, NULL });
}
