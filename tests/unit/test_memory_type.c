// SPDX-License-Identifier: MIT
/* The memory type of a mapping of a BAR, with the MTRRs of different machines. */
#include <string.h>

#include "memory_type.h"
#include "suite.h"

#define MIB	(1ULL << 20)

START_TEST(lines_of_proc_mtrr)
{
	static const char *const bad[] = {
		"", "\n", "reg00:", "base=0x1000", "size=1MB", "reg00: base=zz (1MB), size= 1MB, count=1: uncachable",
		"reg00: base=0x0 (0MB), size= 1GB, count=1: uncachable", "reg00: base=0x0 (0MB), size= 1MB, count=1",
	};
	struct mtrr mtrr;

	ck_assert(parse_mtrr("reg00: base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: uncachable\n", &mtrr));
	ck_assert_uint_eq(mtrr.base, 0xc0000000);
	ck_assert_uint_eq(mtrr.size, 1024 * MIB);
	ck_assert_int_eq(mtrr.kind, MTRR_UNCACHED);
	ck_assert(parse_mtrr("reg07: base=0x3800000000 (229376MB), size=   64KB, count=2: write-combining\n", &mtrr));
	ck_assert_uint_eq(mtrr.base, 0x3800000000);
	ck_assert_uint_eq(mtrr.size, 64 << 10);
	ck_assert_int_eq(mtrr.kind, MTRR_WRITE_COMBINING);
	ck_assert(parse_mtrr("reg01: base=0x000000000 (    0MB), size= 2048MB, count=1: write-back\n", &mtrr));
	ck_assert_int_eq(mtrr.kind, MTRR_OTHER);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parse_mtrr(bad[i], &mtrr), "\"%s\"", bad[i]);
}
END_TEST

/* 16 MiB at 1 GiB are write-combining, except 4 MiB of them, which are uncached. */
static const struct mtrrs mtrrs = {
	.list = {
		{ 0, 512 * MIB, MTRR_OTHER },
		{ 1024 * MIB, 16 * MIB, MTRR_WRITE_COMBINING },
		{ 1028 * MIB, 4 * MIB, MTRR_UNCACHED },
	},
	.nr = 3,
};

static const struct {
	uint64_t address, length;
	enum memory_type type;
} uncached[] = {
	{ 0, 4096, MEMORY_UNCACHED },
	{ 1024 * MIB, 4 * MIB, MEMORY_WRITE_COMBINING },
	{ 1024 * MIB, 4 * MIB + 1, MEMORY_MIXED },
	{ 1028 * MIB, 4 * MIB, MEMORY_UNCACHED },
	{ 1032 * MIB, 8 * MIB, MEMORY_WRITE_COMBINING },
	{ 1040 * MIB - 1, 1, MEMORY_WRITE_COMBINING },
	{ 1040 * MIB, 1, MEMORY_UNCACHED },
	{ 1020 * MIB, 24 * MIB, MEMORY_MIXED },
	{ ~0ULL << 20, MIB, MEMORY_UNCACHED },
};

START_TEST(uncached_entries_obey_mtrrs)
{
	ck_assert_int_eq(memory_type_of(&mtrrs, false, uncached[_i].address, uncached[_i].length), uncached[_i].type);
}
END_TEST

START_TEST(write_combining_entries_do_not)
{
	const struct mtrrs none = { .nr = 0 };

	ck_assert_int_eq(memory_type_of(&mtrrs, true, 1028 * MIB, 4 * MIB), MEMORY_WRITE_COMBINING);
	ck_assert_int_eq(memory_type_of(&mtrrs, true, 0, 4096), MEMORY_WRITE_COMBINING);
	ck_assert_int_eq(memory_type_of(&none, true, 0, 4096), MEMORY_WRITE_COMBINING);
	ck_assert_int_eq(memory_type_of(&none, false, 0, 4096), MEMORY_UNCACHED);
}
END_TEST

START_TEST(names)
{
	ck_assert_ptr_null(memory_type_name(MEMORY_UNKNOWN));
	ck_assert_str_eq(memory_type_name(MEMORY_UNCACHED), "uncached");
	ck_assert_str_eq(memory_type_name(MEMORY_WRITE_COMBINING), "write-combining");
	ck_assert_str_eq(memory_type_name(MEMORY_MIXED), "mixed");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("memory_type");
	TCase *tc = add_group(s, "memory_type");

	tcase_add_test(tc, lines_of_proc_mtrr);
	tcase_add_loop_test(tc, uncached_entries_obey_mtrrs, 0, sizeof(uncached) / sizeof(uncached[0]));
	tcase_add_test(tc, write_combining_entries_do_not);
	tcase_add_test(tc, names);
	return s;
}
