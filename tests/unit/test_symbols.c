// SPDX-License-Identifier: MIT
/*
 * The library exports what its header declares, and nothing else; and the
 * header can be included by itself, in C and in C++.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfio-dmabuf.h>

#include "suite.h"

#define MAX_NAMES	200

struct names {
	size_t nr;
	char name[MAX_NAMES][64];
};

static void add(struct names *names, const char *name)
{
	ck_assert_uint_lt(names->nr, MAX_NAMES);
	ck_assert_uint_lt(strlen(name), sizeof(names->name[0]));
	strcpy(names->name[names->nr++], name);
}

static bool has(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->nr; i++)
		if (!strcmp(names->name[i], name))
			return true;
	return false;
}

/* Functions that the header declares: the line begins with a type, not " *". */
static struct names declared(void)
{
	struct names names = { 0 };
	FILE *header = fopen(HEADER, "r");
	char line[512];

	ck_assert_ptr_nonnull(header);
	while (fgets(line, sizeof(line), header)) {
		char *name = strstr(line, "vdb_"), *end;

		/* Inline functions are in every program. */
		if (!isalpha(line[0]) || !strncmp(line, "static", 6))
			continue;
		for (; name; name = strstr(end, "vdb_")) {
			end = name + strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
			if (*end != '(')
				continue;
			*end++ = '\0';
			add(&names, name);
		}
	}
	fclose(header);
	return names;
}

static struct names exported(void)
{
	struct names names = { 0 };
	FILE *nm = popen("nm -D --defined-only " LIBRARY, "r");
	char line[512], name[128], type;

	ck_assert_ptr_nonnull(nm);
	while (fgets(line, sizeof(line), nm)) {
		ck_assert_int_eq(sscanf(line, "%*x %c %127[^@\n]", &type, name), 2);
		if (type == 'A')
			continue;	/* the version itself */
		ck_assert_msg(strstr(line, "@@VFIO_DMABUF_0.1"), "no version: %s", line);
		add(&names, name);
	}
	ck_assert_int_eq(pclose(nm), 0);
	return names;
}

START_TEST(exports_what_is_declared)
{
	struct names in_header = declared(), in_library = exported();

	ck_assert_uint_gt(in_header.nr, 40);
	for (size_t i = 0; i < in_header.nr; i++)
		ck_assert_msg(has(&in_library, in_header.name[i]),
			      "%s is declared, not exported", in_header.name[i]);
	for (size_t i = 0; i < in_library.nr; i++)
		ck_assert_msg(has(&in_header, in_library.name[i]),
			      "%s is exported, not declared", in_library.name[i]);
}
END_TEST

START_TEST(version_is_that_of_the_project)
{
	unsigned int major, minor, patch;

	ck_assert_int_eq(sscanf(VERSION, "%u.%u.%u", &major, &minor, &patch), 3);
	ck_assert_uint_eq(VDB_VERSION, VDB_VERSION_OF(major, minor, patch));
	ck_assert_uint_eq(vdb_version(), VDB_VERSION);
	ck_assert_uint_lt(VDB_VERSION_OF(0, 255, 255), VDB_VERSION_OF(1, 0, 0));
}
END_TEST

START_TEST(header_stands_alone)
{
	static const char *const compilers[] = {
		"cc -std=c11 -D_POSIX_C_SOURCE=200809L -pedantic -x c",
		"clang -std=gnu17 -x c",
		"c++ -std=c++17 -x c++",
	};
	char command[1024];

	snprintf(command, sizeof(command), "echo '#include <vfio-dmabuf.h>' | "
		 "%s -Wall -Wextra -Werror -fsyntax-only -I$(dirname " HEADER ") -", compilers[_i]);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("symbols");
	TCase *tc = add_group(s, "header");

	tcase_add_test(tc, exports_what_is_declared);
	tcase_add_test(tc, version_is_that_of_the_project);
	tcase_add_loop_test(tc, header_stands_alone, 0, 3);
	return s;
}
