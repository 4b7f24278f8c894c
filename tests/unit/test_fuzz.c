// SPDX-License-Identifier: MIT
/*
 * The fuzz targets on their committed corpus, and on a fixed number of inputs
 * made from it: `make fuzz` looks further.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "targets.h"

#define MAX_SIZE	4096
#define CHANGES		200

static const struct {
	const char *name;
	int (*run)(const uint8_t *data, size_t size);
} targets[] = {
	{ "request", fuzz_request }, { "client", fuzz_client }, { "config", fuzz_config }, { "state", fuzz_state },
	{ "pass", fuzz_pass }, { "parse", fuzz_parse },
};

static void change(uint8_t *data, size_t *size)
{
	size_t at = *size ? rand() % *size : 0;

	switch (rand() % 4) {
	case 0:
		data[at] = rand();
		break;
	case 1:
		data[at] ^= 1 << rand() % 8;
		break;
	case 2:
		*size = at;
		break;
	case 3:
		if (*size < MAX_SIZE) {
			memmove(data + at + 1, data + at, *size - at);
			data[at] = rand();
			++*size;
		}
		break;
	}
}

START_TEST(corpus)
{
	char path[512];
	struct dirent *entry;
	unsigned int files = 0;
	DIR *dir;

	srand(1);
	snprintf(path, sizeof(path), "%s/%s", CORPUS, targets[_i].name);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		uint8_t data[MAX_SIZE + 1], input[MAX_SIZE + 1];
		size_t size;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", CORPUS, targets[_i].name, entry->d_name);
		file = fopen(path, "r");
		ck_assert_ptr_nonnull(file);
		size = fread(data, 1, MAX_SIZE, file);
		fclose(file);
		targets[_i].run(data, size);
		for (int i = 0; i < CHANGES; i++) {
			size_t changed = size;

			memcpy(input, data, sizeof(input));
			for (int j = 0; j <= i % 4; j++)
				change(input, &changed);
			targets[_i].run(input, changed);
		}
		files++;
	}
	closedir(dir);
	ck_assert_uint_gt(files, 2);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("fuzz");
	TCase *tc = add_group(s, "fuzz");

	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, corpus, 0, sizeof(targets) / sizeof(targets[0]));
	return s;
}
