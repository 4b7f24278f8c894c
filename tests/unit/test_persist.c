/* SPDX-License-Identifier: MIT */
/* The files of bindings that survive a reboot. */
#include <string.h>

#include "persist.h"
#include "suite.h"

START_TEST(there_and_back)
{
	struct persistent binding = { .driver = "vfio-pci", .vendor = 0x1b36, .device = 0x10, .former = "nvme" }, read = { 0 };
	char text[512];
	int line;

	persist_format(&binding, text, sizeof(text));
	ck_assert(persist_parse(text, &read, &line));
	ck_assert_str_eq(read.driver, "vfio-pci");
	ck_assert_str_eq(read.former, "nvme");
	ck_assert_uint_eq(read.vendor, 0x1b36);
	ck_assert_uint_eq(read.device, 0x10);
	binding.former[0] = '\0';
	persist_format(&binding, text, sizeof(text));
	ck_assert(persist_parse(text, &read, &line));
	ck_assert_str_eq(read.former, "");
}
END_TEST

/* Made with touch or an editor. */
START_TEST(written_by_hand)
{
	struct persistent binding;
	int line;

	ck_assert(persist_parse("", &binding, &line));
	ck_assert_str_eq(binding.driver, "dmabuf-vfio-pci");
	ck_assert_uint_eq(binding.vendor | binding.device, 0);
	ck_assert(persist_parse("# the card\n\n  driver:   vfio-pci  \nid: 8086:1533", &binding, &line));
	ck_assert_str_eq(binding.driver, "vfio-pci");
	ck_assert_uint_eq(binding.vendor, 0x8086);
}
END_TEST

START_TEST(mistakes)
{
	static const char *const texts[] = {
		"driver: vfio-pci\ndirver: x\n", "\nid: 8086\n", "\nid: 8086:15333\n", "\nid: 8086:1533:1\n",
		"\ndriver vfio-pci\n", "\ndriver: a b\n", "\ndriver:\n", "\ndriver: ../../x\n", "\nvfio-pci\n",
	};
	struct persistent binding;
	char text[600];
	int line;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_msg(!persist_parse(texts[i], &binding, &line), "%s", texts[i]);
		ck_assert_int_eq(line, 2);
	}
	memset(text, 'x', sizeof(text));
	memcpy(text, "driver: ", 8);
	text[sizeof(text) - 1] = '\0';
	ck_assert(!persist_parse(text, &binding, &line));
	text[100] = '\0';
	ck_assert(!persist_parse(text, &binding, &line));
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("persist");
	TCase *tc = add_group(s, "files");

	tcase_add_test(tc, there_and_back);
	tcase_add_test(tc, written_by_hand);
	tcase_add_test(tc, mistakes);
	return s;
}
