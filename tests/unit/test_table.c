// SPDX-License-Identifier: MIT
/* Tables for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "table.h"

static const char *const columns[] = { "NAME", ">SIZE", "KIND", NULL };

static void check(struct table *table, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	table_end(table, stream);
	fclose(stream);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(columns_are_as_wide_as_needed)
{
	struct table table;

	table_begin(&table, columns);
	for (int i = 8; i < 12; i += 3) {
		table_add(&table, "%s", i == 8 ? "a" : "longer");
		table_add(&table, "%d", i);
		table_add(&table, "kind %d", i);
	}
	check(&table, "NAME    SIZE  KIND\n"
	      "a          8  kind 8\n"
	      "longer    11  kind 11\n");
}
END_TEST

START_TEST(nothing_has_no_header)
{
	struct table table;

	table_begin(&table, columns);
	check(&table, "");
}
END_TEST

/* A cell wider than its header; an incomplete row; many rows. */
START_TEST(many_rows)
{
	struct table table;
	char expected[4096] = "NAME   SIZE  KIND\n";

	table_begin(&table, columns);
	for (int i = 0; i < 40; i++) {
		table_add(&table, "row%02d", i);
		table_add(&table, "1");
		if (i < 39)
			table_add(&table, "x");
		sprintf(expected + strlen(expected), "row%02d     1%s\n", i, i < 39 ? "  x" : "");
	}
	check(&table, expected);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("table");
	TCase *tc = add_group(s, "table");

	tcase_add_test(tc, columns_are_as_wide_as_needed);
	tcase_add_test(tc, nothing_has_no_header);
	tcase_add_test(tc, many_rows);
	return s;
}
