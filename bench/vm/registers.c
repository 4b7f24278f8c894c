// SPDX-License-Identifier: MIT
/* What an access to a register costs through a mapping. */
#define _GNU_SOURCE
#include "device.h"
#include "edu.h"
#include "sample.h"
#include "suite.h"
#include "twins.h"

#define ACCESSES 1000

static void run_read(const void *side, uint64_t *counts)
{
	const volatile uint32_t *registers = side;
	uint64_t begin, faults_before = faults();
	int i;

	begin = instructions();
	for (i = 0; i < ACCESSES; i++)
		(void)registers[EDU_ID / 4];
	counts[0] = instructions() - begin;
	counts[1] = faults() - faults_before;
}

static void run_write(const void *side, uint64_t *counts)
{
	volatile uint32_t *registers = (volatile uint32_t *)side;
	uint64_t begin, faults_before = faults();
	int i;

	begin = instructions();
	for (i = 0; i < ACCESSES; i++)
		registers[EDU_LIVENESS / 4] = i;
	counts[0] = instructions() - begin;
	counts[1] = faults() - faults_before;
}

START_TEST(registers)
{
	const struct measurement read = {
		.names = { "register-read", "register-read-faults" },
		.run = run_read,
		.batches = 10,
		.runs = 50,
		.each = ACCESSES,
	};
	const struct measurement write = {
		.names = { "register-write", "register-write-faults" },
		.run = run_write,
		.batches = 10,
		.runs = 50,
		.each = ACCESSES,
	};
	struct twins twins;
	void *ours, *stock;

	twins_open(&twins, "EDU", "EDU2");
	ours = device_map(&twins.ours, 0, 0, 4096);
	stock = device_map(&twins.stock, 0, 0, 4096);
	measure(&read, ours, stock);
	measure(&write, ours, stock);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("registers");

	tcase_add_test(add_group(s, "access"), registers);
	return s;
}
