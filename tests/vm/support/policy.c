// SPDX-License-Identifier: MIT
/* The system's policy for transparent huge pages. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "policy.h"
#include "suite.h"
#include "sysfs.h"

#define POLICY	"/sys/kernel/mm/transparent_hugepage/enabled"

static char before[64];

static void set(const char *policy)
{
	char *begin, *end;

	if (access(POLICY, F_OK))
		return;
	/* The file reads "always [madvise] never". */
	if (!before[0]) {
		ck_assert_works(file_read(POLICY, before, sizeof(before)));
		begin = strchr(before, '[');
		end = strchr(before, ']');
		ck_assert(begin && end);
		*end = '\0';
		memmove(before, begin + 1, (size_t)(end - begin));
	}
	ck_assert_works(file_write(POLICY, policy));
}

void policy_always(void)
{
	set("always");
}

void policy_never(void)
{
	set("never");
}

void policy_restore(void)
{
	if (before[0])
		ck_assert_works(file_write(POLICY, before));
}
