// SPDX-License-Identifier: MIT
/* Counting the system calls of a program, in a tracing instance of its own. */
#define _GNU_SOURCE
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "sysfs.h"

#define INSTANCE	"/sys/kernel/tracing/instances/vfio-dmabuf-bench"
#define EVENT		INSTANCE "/events/raw_syscalls/sys_enter/"
#define MOST		512	/* numbers of calls */

void syscalls_start(const char *comm)
{
	char filter[64];

	if (mkdir(INSTANCE, 0700))
		ck_assert_int_eq(errno, EEXIST);
	ck_assert_works(file_write(INSTANCE "/tracing_on", "0"));
	/* Empties it. */
	close(open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	/* A thread has the name of the one that has made it. */
	snprintf(filter, sizeof(filter), "comm == \"%s\"", comm);
	ck_assert_works(file_write(EVENT "filter", filter));
	ck_assert_works(file_write(EVENT "enable", "1"));
	ck_assert_works(file_write(INSTANCE "/tracing_on", "1"));
}

/* "  vfio-dmabufd-123 [000] .....   12.345678: sys_enter: NR 232 (4, ...)" */
unsigned long syscalls_stop(unsigned int times)
{
	unsigned long counts[MOST] = { 0 }, all = 0;
	char *line = NULL;
	size_t size = 0;
	FILE *trace;

	ck_assert_works(file_write(INSTANCE "/tracing_on", "0"));
	ck_assert_works(file_write(EVENT "enable", "0"));
	trace = fopen(INSTANCE "/trace", "re");
	ck_assert_msg(trace, "%s: %s", INSTANCE "/trace", strerror(errno));
	while (getline(&line, &size, trace) >= 0) {
		const char *number = strstr(line, "sys_enter: NR ");
		unsigned long nr;

		ck_assert_msg(!strstr(line, "LOST"), "calls were lost: %s", line);
		if (line[0] == '#' || !number)
			continue;
		nr = strtoul(number + strlen("sys_enter: NR "), NULL, 10);
		ck_assert_uint_lt(nr, MOST);
		counts[nr]++;
		all++;
	}
	free(line);
	fclose(trace);
	rmdir(INSTANCE);
	for (unsigned int nr = 0; nr < MOST; nr++)
		if (counts[nr])
			printf("# system call %u: %.2f\n", nr, (double)counts[nr] / times);
	return all;
}
