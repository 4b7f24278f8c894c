// SPDX-License-Identifier: MIT
/* What the command understands of people's and the kernel's writing. */
#include <stdio.h>
#include <string.h>
#include <vfio-dmabuf.h>

#include "parse.h"
#include "suite.h"

START_TEST(numbers)
{
	static const char *const bad[] = { "", "x", "-1", " 1", "1 ", "0x", "1k", "99999999999999999999", "0x1g",
		/* Octal, for some. */
		"010", "00", "08", "+1", "1K", "0b1", "0x-1", "0x 1" };
	uint64_t number;

	ck_assert(parse_number("0x1000", &number) && number == 4096);
	ck_assert(parse_number("4096", &number) && number == 4096);
	ck_assert(parse_number("0xffffffffffffffff", &number) && number == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parse_number(bad[i], &number), "\"%s\"", bad[i]);
}
END_TEST

START_TEST(sizes)
{
	static const char *const bad[] = {
		"", "K", "1k", "1KB", "1KiB", "1 K", "0x1K", "010K", "1B", "17179869184G", "-1K", "1.5K", "1KK"
	};
	uint64_t bytes;

	ck_assert(parse_size("4096", &bytes) && bytes == 4096);
	ck_assert(parse_size("0x1000", &bytes) && bytes == 4096);
	ck_assert(parse_size("0", &bytes) && bytes == 0);
	ck_assert(parse_size("4K", &bytes) && bytes == 4096);
	ck_assert(parse_size("2M", &bytes) && bytes == 2 << 20);
	ck_assert(parse_size("3G", &bytes) && bytes == 3ULL << 30);
	ck_assert(parse_size("1T", &bytes) && bytes == 1ULL << 40);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parse_size(bad[i], &bytes), "\"%s\"", bad[i]);
}
END_TEST

START_TEST(times)
{
	static const char *const bad[] = { "", "s", "1S", "1ms", "1 s", "0x1s", "010", "1K", "-1", "213503982334602d" };
	uint64_t seconds;

	ck_assert(parse_seconds("30", &seconds) && seconds == 30);
	ck_assert(parse_seconds("30s", &seconds) && seconds == 30);
	ck_assert(parse_seconds("5m", &seconds) && seconds == 300);
	ck_assert(parse_seconds("2h", &seconds) && seconds == 7200);
	ck_assert(parse_seconds("1d", &seconds) && seconds == 86400);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parse_seconds(bad[i], &seconds), "\"%s\"", bad[i]);
}
END_TEST

START_TEST(targets)
{
	static const char *const bad[] = {
		"", "/", "nic", "nic/", "/x", "nic/x[", "nic/x[]", "nic/x[1", "nic/x[1]x", "nic/x[-1]",
		"nic/x[4294967295]", "nic/x[010]", "0000:01:00.0/02", "0000:01:00.0/6", "0000:01:00.0/", "0000:01:00.0/x", "zz:01:00.0/0",
		"nic/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"0000:00000000000000000000000000000000000001:00.0/1",
	};
	struct target target;

	ck_assert(parse_target("01:00.0/2", &target));
	ck_assert(target.direct && target.bar == 2);
	ck_assert_str_eq(target.bdf, "0000:01:00.0");
	ck_assert(parse_target("nic/doorbell", &target));
	ck_assert(!target.direct && target.index == VDB_ANY_INDEX);
	ck_assert_str_eq(target.slice, "nic/doorbell");
	ck_assert(parse_target("nic/doorbell[17]", &target));
	ck_assert_uint_eq(target.index, 17);
	ck_assert_str_eq(target.slice, "nic/doorbell");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parse_target(bad[i], &target), "\"%s\"", bad[i]);
}
END_TEST

START_TEST(buffers)
{
	struct buffer buffer;

	ck_assert(!parse_buffer("# bar kind state mode mappings size name ranges memattr importers inode\n", &buffer));
	ck_assert(parse_buffer("2 slice live ro 3 0x3000 vfio0:0000:00:05.0/2 0x1000+0x2000,0x5000+0x1000 wc 1 17\n",
			       &buffer));
	ck_assert_uint_eq(buffer.bar, 2);
	ck_assert(buffer.slice && buffer.read_only);
	ck_assert_str_eq(buffer.state, "live");
	ck_assert_int_eq(buffer.mappings, 3);
	ck_assert_uint_eq(buffer.size, 0x3000);
	ck_assert_uint_eq(buffer.nr_ranges, 2);
	ck_assert_uint_eq(buffer.ranges[1].offset, 0x5000);
	ck_assert_str_eq(buffer.memattr, "wc");
	ck_assert_int_eq(buffer.importers, 1);
	ck_assert_uint_eq(buffer.inode, 17);
	ck_assert(parse_buffer("0 bar suspended rw 1 0x9000 - 0x0+0x1000,0x2000+0x1000,+7 nc 0 4294967296\n", &buffer));
	ck_assert_uint_eq(buffer.nr_ranges, 9);
	ck_assert_uint_eq(buffer.nr_known, 2);
	ck_assert_uint_eq(buffer.inode, 1ULL << 32);
	ck_assert(!parse_buffer("0 bar live rw 1 0x9000 - nonsense nc 0 1\n", &buffer));
	ck_assert(!parse_buffer("0 bar live rw 1 0x9000 - +7 nc 0 1\n", &buffer));
	ck_assert(!parse_buffer("0 bar live rw 1 0x9000 - 0x0+0x1000 nc 0\n", &buffer));
	ck_assert(!parse_buffer("0 bar live rw\n", &buffer));
}
END_TEST

START_TEST(maps)
{
	struct mapping mapping;

	ck_assert(parse_mapping("7f7c094b7000-7f7c094b9000 rw-s 00001000 00:0e 2   /dmabuf:vfio8:0000:02:00.0/0\n",
				&mapping));
	ck_assert_str_eq(mapping.bdf, "0000:02:00.0");
	ck_assert_uint_eq(mapping.inode, 2);
	ck_assert_uint_eq(mapping.offset, 0x1000);
	ck_assert_uint_eq(mapping.length, 0x2000);
	ck_assert(mapping.writable);
	ck_assert(parse_mapping("7f7c094b7000-7f7c094b9000 r--s 00001000 00:0e 2 /dmabuf:vfio8:0000:02:00.0/5\n",
				&mapping));
	ck_assert(!mapping.writable && mapping.bar == 5);
	ck_assert(!parse_mapping("7f7c094b7000-7f7c094b9000 r--p 00001000 08:01 2 /usr/bin/x\n", &mapping));
	ck_assert(!parse_mapping("", &mapping));
}
END_TEST

/* Buffers whose holders have set another name. */
START_TEST(maps_without_a_name)
{
	static const char *const names[] = { "", "vfio8:x/0", "vfio8:0000:02:00.0/6", "vfio8:0000:02:00.0", "\\012" };
	struct mapping mapping;
	char line[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "7f7c094b7000-7f7c094b9000 r--s 00001000 00:0e 2 /dmabuf:%s\n", names[i]);
		ck_assert_msg(parse_mapping(line, &mapping), "%s", line);
		ck_assert_uint_eq(mapping.inode, 2);
		ck_assert_str_eq(mapping.bdf, "");
	}
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("parse");
	TCase *tc = add_group(s, "people");

	tcase_add_test(tc, numbers);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, times);
	tcase_add_test(tc, targets);
	tc = add_group(s, "kernel");
	tcase_add_test(tc, buffers);
	tcase_add_test(tc, maps);
	tcase_add_test(tc, maps_without_a_name);
	return s;
}
