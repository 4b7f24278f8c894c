// SPDX-License-Identifier: MIT
/*
 * The checksum of the broker's state by the CPU's instruction.  The unit tests compare both
 * ways of computing it with known sums, but they run on the lab's own CPU only.
 */
#include "broker/state/crc32c.h"
#include "suite.h"

START_TEST(instruction_and_table_agree)
{
	uint8_t bytes[64];

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = 37 * i + 11;
	/* Each combination of steps of 8, 4 and 1 bytes, at each place in a word. */
	for (unsigned int place = 0; place < 8; place++)
		for (unsigned int size = 0; size <= sizeof(bytes) - place; size++)
			ck_assert_uint_eq(crc32c(size, bytes + place, size),
					  crc32c_by_table(size, bytes + place, size));
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("checksum");

	tcase_add_test(add_group(s, "checksum"), instruction_and_table_agree);
	return s;
}
