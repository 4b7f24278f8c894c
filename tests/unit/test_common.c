// SPDX-License-Identifier: MIT
/* What library, command and broker share. */
#include <string.h>

#include "common/bdf.h"
#include "suite.h"

START_TEST(names_of_functions)
{
	static const struct {
		const char *text, *bdf;
	} cases[] = {
		{ "0000:01:00.0", "0000:01:00.0" },
		{ "1:2.3", "0000:01:02.3" },
		{ "ABCD:FF:1F.7", "abcd:ff:1f.7" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "1234567:01:00.0", "1234567:01:00.0" },
		{ "12345678:01:00.0", NULL },
		{ "0000:01:20.0", NULL },
		{ "0000:01:00.8", NULL },
		{ "0000:01:00", NULL },
		{ "0000:01:00.0 ", NULL },
		{ " 0000:01:00.0", NULL },
		{ "0000:+1:00.0", NULL },
		{ "0x1:00.0", NULL },
		{ "../../etc", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char bdf[BDF_SIZE] = "as it was";

		ck_assert_msg(bdf_parse(cases[i].text, bdf) == !!cases[i].bdf, "\"%s\"", cases[i].text);
		ck_assert_str_eq(bdf, cases[i].bdf ?: "as it was");
	}
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("common");
	TCase *tc = add_group(s, "functions");

	tcase_add_test(tc, names_of_functions);
	return s;
}
