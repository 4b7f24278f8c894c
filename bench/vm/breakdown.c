// SPDX-License-Identifier: MIT
/*
 * The cost of the functions that make and remove the DMABUF of a BAR mapping of one
 * page, measured by the kernel's function graph tracer.
 *
 * One function is traced at a time, so that tracing what it calls does not count as its
 * own.  A function that does nothing shows what tracing adds to every function.
 * Numbers are for one mapping, and include everything that a function calls.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sample.h"
#include "suite.h"
#include "twins.h"

#define TRACING "/sys/kernel/tracing/"
#define BAR 2
#define OFFSET 0x4000
#define LENGTH 4096
#define MAPPINGS 200

/* A hook that every mmap() calls, and that is empty while nothing uses it. */
#define NOTHING "bpf_lsm_mmap_file"

static const char *const functions[] = {
	"vfio_pci_core_mmap",
	"dvp_mmap_bar",
	"dvp_buffer_alloc",
	"dvp_buffer_publish",
	"dma_buf_export",
	"alloc_anon_inode",
	"alloc_file_pseudo",
	"__fput",
	"evict",
	"dma_buf_release",
	"dvp_dmabuf_release",
};

static void set(const char *file, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), TRACING "%s", file);
	/* Truncating is what makes a filter replace the one before. */
	f = fopen(path, "we");
	ck_assert_msg(f && fputs(value, f) >= 0 && !fclose(f),
		      "%s: cannot write \"%s\": %s", path, value, strerror(errno));
}

static void map_once(const struct part *part)
{
	void *map = mmap(NULL, part->length, PROT_READ | PROT_WRITE, MAP_SHARED,
			 part->fd, part->offset);

	if (map == MAP_FAILED)
		ck_abort_msg("mmap: %s", strerror(errno));
	(void)*(volatile uint32_t *)map;
	munmap(map, part->length);
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/*
 * " 0)   1.234 us    |  function();", where a mark such as "+" stands before
 * a long time.  The tracer's clock counts nanoseconds, which are instructions.
 */
static size_t read_durations(double *durations, size_t room)
{
	FILE *trace = fopen(TRACING "trace", "re");
	char *line = NULL, *unit;
	size_t size = 0, n = 0;

	ck_assert_msg(trace, TRACING "trace: %s", strerror(errno));
	while (getline(&line, &size, trace) >= 0) {
		unit = strstr(line, " us ");
		if (line[0] == '#' || !unit)
			continue;
		while (unit > line && strchr("0123456789.", unit[-1]))
			unit--;
		ck_assert_msg(n < room, "more traced calls than expected");
		durations[n++] = strtod(unit, NULL) * 1000;
	}
	free(line);
	fclose(trace);
	return n;
}

/*
 * Instructions for one mapping: the median call, times calls for each mapping.
 * 0 if the function is not called.
 */
static double trace_function(const char *function, const struct part *part)
{
	static double durations[8 * MAPPINGS];
	double median;
	size_t n;
	int i;

	set("set_ftrace_filter", function);
	set("current_tracer", "function_graph");
	for (i = 0; i < MAPPINGS; i++)
		map_once(part);
	set("tracing_on", "0");
	n = read_durations(durations, sizeof(durations) / sizeof(*durations));
	set("current_tracer", "nop");
	set("tracing_on", "1");
	if (!n)
		return 0;
	qsort(durations, n, sizeof(*durations), compare);
	median = durations[n / 2];
	return median * ((n + MAPPINGS / 2) / MAPPINGS);
}

static void record_function(const char *function, const char *side,
			    const struct part *part, double nothing)
{
	double count = trace_function(function, part);
	char name[64];

	count = count > nothing ? count - nothing : 0;
	snprintf(name, sizeof(name), "in:%s", function);
	record(name, side, MAPPINGS, count, count);
}

/* Also after a failure: tracing must not count in what is measured next. */
static void stop_tracing(void)
{
	set("current_tracer", "nop");
	set("set_ftrace_filter", "");
	set("set_ftrace_pid", "");
	set("tracing_on", "1");
}

START_TEST(breakdown)
{
	struct part ours, stock;
	struct twins twins;
	double nothing;
	char pid[16];
	size_t i;

	twins_open(&twins, "IVSHMEM", "IVSHMEM2");
	ours = part_of_bar(&twins.ours, BAR, OFFSET, LENGTH);
	stock = part_of_bar(&twins.stock, BAR, OFFSET, LENGTH);

	snprintf(pid, sizeof(pid), "%d", getpid());
	set("set_ftrace_pid", pid);
	set("options/funcgraph-irqs", "0");
	nothing = trace_function(NOTHING, &stock);
	ck_assert_msg(nothing > 0, "mmap() does not call %s", NOTHING);
	for (i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		record_function(functions[i], "ours", &ours, nothing);
		record_function(functions[i], "base", &stock, nothing);
	}
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("breakdown");
	TCase *tc = add_group(s, "mapping one page");

	tcase_add_unchecked_fixture(tc, NULL, stop_tracing);
	tcase_add_test(tc, breakdown);
	return s;
}
