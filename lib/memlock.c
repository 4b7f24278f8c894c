/* SPDX-License-Identifier: MIT */
/* The limit of the memory that a process may lock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "internal.h"
#include "memlock.h"

#define CAP_IPC_LOCK	14	/* of <linux/capability.h> */

/* A number of this process in /proc; 0 if it is not there. */
static unsigned long long status_number(const char *name, int base)
{
	unsigned long long number = 0;
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)))
			continue;
		number = strtoull(line + strlen(name), NULL, base);
		break;
	}
	if (file)
		fclose(file);
	return number;
}

/* A capability of a user namespace other than the first does not count. */
static bool is_first_namespace(void)
{
	unsigned long long inside = 1, outside = 1, length = 0;
	FILE *file = fopen("/proc/self/uid_map", "re");

	if (file) {
		if (fscanf(file, "%llu %llu %llu", &inside, &outside, &length) != 3)
			length = 0;
		fclose(file);
	}
	return !inside && !outside && length == UINT32_MAX;
}

static bool is_exempt(void)
{
	return status_number("CapEff:", 16) >> CAP_IPC_LOCK & 1 && is_first_namespace();
}

bool vdb_memlock_exceeded(uint64_t known, uint64_t length, bool per_user, char *error)
{
	struct rlimit limit;
	uint64_t locked, need;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY || is_exempt())
		return false;
	locked = per_user ? known : status_number("VmLck:", 10) << 10;
	need = locked + length;
	/* What other processes of the user have pinned is not known. */
	if (!per_user && need <= limit.rlim_cur)
		return false;
	if (per_user)
		snprintf(error, VDB_ERROR_SIZE, "RLIMIT_MEMLOCK is %llu bytes for all processes of user %u; it must be at least %llu (ulimit -l %llu, LimitMEMLOCK=), and more if others have memory pinned",
			 (unsigned long long)limit.rlim_cur, getuid(), (unsigned long long)need,
			 (unsigned long long)(need + 1023) / 1024);
	else
		snprintf(error, VDB_ERROR_SIZE, "RLIMIT_MEMLOCK is %llu bytes, of which this process uses %llu; it must be at least %llu (ulimit -l %llu, LimitMEMLOCK=)",
			 (unsigned long long)limit.rlim_cur, (unsigned long long)locked,
			 (unsigned long long)need, (unsigned long long)(need + 1023) / 1024);
	return true;
}
