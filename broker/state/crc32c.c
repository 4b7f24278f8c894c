/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <string.h>
#ifdef __aarch64__
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

#include "crc32c.h"

#define POLYNOMIAL	0x82f63b78u	/* the lowest bit first */

/* table[n][byte]: the sum of the byte and of n zeros after it. */
static uint32_t table[8][256];

static void fill_table(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t sum = byte;

		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? POLYNOMIAL : 0);
		table[0][byte] = sum;
	}
	for (int n = 1; n < 8; n++)
		for (int byte = 0; byte < 256; byte++) {
			uint32_t sum = table[n - 1][byte];

			table[n][byte] = sum >> 8 ^ table[0][sum & 0xff];
		}
}

uint32_t crc32c_by_table(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *at = data;

	sum = ~sum;
	if (!table[0][1])
		fill_table();
	/* Eight bytes at once, in place of one. */
	for (; size >= 8; size -= 8, at += 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		word = le64toh(word) ^ sum;
		sum = 0;
		for (int n = 0; n < 8; n++)
			sum ^= table[7 - n][word >> (8 * n) & 0xff];
	}
	while (size--)
		sum = sum >> 8 ^ table[0][(sum ^ *at++) & 0xff];
	return ~sum;
}

/* How the CPU's instruction is called for, and how to ask whether the CPU has it. */
#if defined(__x86_64__)
#define TARGET			"sse4.2"
#define HAVE_INSTRUCTION()	__builtin_cpu_supports("sse4.2")
#define SUM8(sum, byte)		__builtin_ia32_crc32qi(sum, byte)
#define SUM32(sum, word)	__builtin_ia32_crc32si(sum, word)
#define SUM64(sum, word)	__builtin_ia32_crc32di(sum, word)
#elif defined(__aarch64__)
#define TARGET			"+crc"
#define HAVE_INSTRUCTION()	(capabilities() & HWCAP_CRC32)
#define SUM8(sum, byte)		__crc32cb(sum, byte)
#define SUM32(sum, word)	__crc32cw(sum, word)
#define SUM64(sum, word)	__crc32cd(sum, word)
#endif

#ifdef __aarch64__
/* A sum is often of some bytes only, and the C library's function then takes as long. */
static unsigned long capabilities(void)
{
	static unsigned long known;

	if (!known)
		known = getauxval(AT_HWCAP);
	return known;
}
#endif

#ifdef TARGET
__attribute__((target(TARGET)))
static uint32_t by_instruction(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *at = data;

	sum = ~sum;
	for (; size >= 8; size -= 8, at += 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		sum = SUM64(sum, word);
	}
	if (size >= 4) {
		uint32_t word;

		memcpy(&word, at, sizeof(word));
		sum = SUM32(sum, word);
		at += 4;
		size -= 4;
	}
	while (size--)
		sum = SUM8(sum, *at++);
	return ~sum;
}
#endif

/* With the table it would be most of the cost of a save. */
uint32_t crc32c(uint32_t sum, const void *data, size_t size)
{
#ifdef TARGET
	if (HAVE_INSTRUCTION())
		return by_instruction(sum, data, size);
#endif
	return crc32c_by_table(sum, data, size);
}
