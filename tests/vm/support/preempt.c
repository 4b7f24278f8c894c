// SPDX-License-Identifier: MIT
/* Where the kernel takes the processor from a process. */
#define _GNU_SOURCE
#include "preempt.h"

#include <stdio.h>
#include <string.h>

#include "sysfs.h"

#define MODE "/sys/kernel/debug/sched/preempt"

static char before[16];

void preempt_anywhere(void)
{
	char text[128];
	char *mode;

	/* All modes, the current one in parentheses. */
	if (file_read(MODE, text, sizeof(text)) < 0)
		return;
	mode = strchr(text, '(');
	if (!mode || sscanf(mode, "(%15[^)])", before) != 1)
		return;
	if (file_write(MODE, "full"))
		*before = '\0';
}

void preempt_restore(void)
{
	if (*before)
		file_write(MODE, before);
}
