// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "fio.h"

#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"
#include "sysfs.h"

const char *fio_missing(void)
{
	return access("/usr/bin/fio", X_OK) ? "the lab's mirror does not have the source of fio" : NULL;
}

const char *fio_engine(void)
{
	static char path[256];
	glob_t found;

	ck_assert_int_eq(glob("/usr/lib/*/vfio-dmabuf/fio-vfio-dmabuf.so", 0, NULL, &found), 0);
	snprintf(path, sizeof(path), "%s", found.gl_pathv[0]);
	globfree(&found);
	return path;
}

long fio_total(const char *result, const char *direction)
{
	json_int_t total = 0, of_job;
	json_error_t error;
	char text[65536], *begin;
	json_t *list, *job;
	size_t i;

	ck_assert_works(file_read(result, text, sizeof(text)));
	/* fio writes messages before it. */
	begin = text[0] == '{' ? text : strstr(text, "\n{");
	ck_assert_msg(begin, "%s: %s", result, text);
	list = json_loads(begin, JSON_DISABLE_EOF_CHECK, &error);
	ck_assert_msg(list, "%s: line %d: %s: %s", result, error.line, error.text, text);
	json_array_foreach(json_object_get(list, "jobs"), i, job) {
		int failure;

		ck_assert_int_eq(json_unpack(job, "{s:i,s:{s:I}}", "error", &failure, direction, "total_ios",
					     &of_job), 0);
		ck_assert_int_eq(failure, 0);
		total += of_job;
	}
	json_decref(list);
	return total;
}
