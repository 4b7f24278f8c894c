// SPDX-License-Identifier: MIT
/*
 * Programs of calls to the driver, changed at random.  Those that run new code of the
 * driver are kept and changed further.  The debug kernel finds errors.  The last
 * program in its log is the one that failed.
 *
 * kfuzz.seconds=N on the kernel's command line: how long (two minutes; at most
 * MOST_SECONDS).
 * The programs without which a point would not have run are left in
 * /lab/out/kfuzz.corpus, one a line; those that only came by other edges are not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "callsites.h"
#include "importer.h"
#include "kcov.h"
#include "kernel.h"
#include "suite.h"
#include "sysfs.h"

#define MODULE		"dmabuf_vfio_pci"
#define CORPUS		"/lab/kfuzz.corpus"
#define KEPT		"/lab/out/kfuzz.corpus"
#define SECONDS		120
/* Check counts a test's microseconds in an int. */
#define MOST_SECONDS	2000
#define MOST_INPUTS	4096
#define EDGES		(1 << 16)
/* Seconds.  A program that takes longer hangs, also on a slow machine with other guests. */
#define PATIENCE	120

struct input {
	uint8_t bytes[CALLS_MOST];
	size_t size;
	bool first;		/* has run a point that no earlier program has run */
};

static struct input *corpus;
static size_t nr_corpus;

/* Coverage: calls of KCOV in the module's file, and pairs of consecutive ones. */
static struct callsite *points;
static size_t nr_points;
static bool *point_ran;
static bool edge_ran[EDGES];
static uint64_t text;

static int kernel_log;
/* Results of a child, in shared memory. */
static char *verdict;

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t pick(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

static int by_offset(const void *a, const void *b)
{
	const struct callsite *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* In the text that stays; init and exit run at other times. */
static void find_points(void)
{
	size_t nr;

	ck_assert(callsites_read(module_file(DRIVER), &points, &nr));
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(points[i].callee, "__sanitizer_cov_trace_pc") && !strcmp(points[i].section, ".text"))
			points[nr_points++] = points[i];
	qsort(points, nr_points, sizeof(*points), by_offset);
	point_ran = calloc(nr_points, sizeof(*point_ran));
	ck_assert_ptr_nonnull(point_ran);
	text = section_address(MODULE, ".text");
	ck_assert_uint_ne(text, 0);
}

/* KCOV records the address to which its call returns. */
static struct callsite *point_at(uint64_t address)
{
	struct callsite key = { .offset = address - CALLSITE_SIZE - text };

	return bsearch(&key, points, nr_points, sizeof(key), by_offset);
}

/* Whether the recorded coverage has a new pair, and whether it has a new point. */
static bool is_new(bool *first)
{
	const uint64_t *addresses;
	size_t nr = kcov_read(&addresses), before = 0;
	bool new = false;

	*first = false;
	for (size_t i = 0; i < nr; i++) {
		const struct callsite *point = point_at(addresses[i]);
		size_t at, edge;

		if (!point)
			continue;
		at = point - points;
		edge = (before * 40503 ^ at) % EDGES;
		*first |= !point_ran[at];
		new |= !point_ran[at] || !edge_ran[edge];
		point_ran[at] = edge_ran[edge] = true;
		before = at + 1;
	}
	return new;
}

static void to_hex(const struct input *input, char *hex)
{
	for (size_t i = 0; i < input->size; i++)
		sprintf(hex + 2 * i, "%02x", input->bytes[i]);
	hex[2 * input->size] = '\0';
}

static bool from_hex(const char *hex, struct input *input)
{
	unsigned int byte;

	input->size = 0;
	while (input->size < CALLS_MOST && sscanf(hex, "%2x", &byte) == 1) {
		input->bytes[input->size++] = byte;
		hex += 2;
	}
	return input->size;
}

/* Runs it in a process of its own. Returns whether it has run something new. */
static bool run(struct input *input)
{
	char line[2 * CALLS_MOST + 32], hex[2 * CALLS_MOST + 1];
	int status;
	pid_t pid;

	to_hex(input, hex);
	snprintf(line, sizeof(line), "<7>kfuzz: %s\n", hex);
	if (write(kernel_log, line, strlen(line)) < 0)
		ck_abort_msg("/dev/kmsg: %s", strerror(errno));

	*verdict = '\0';
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		const char *wrong;

		/* Check's handler, which is inherited, would kill the whole test. */
		signal(SIGALRM, SIG_DFL);
		alarm(PATIENCE);
		kcov_start();
		wrong = calls_run(input->bytes, input->size);
		kcov_stop();
		if (wrong)
			snprintf(verdict, 256, "%s", wrong);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	calls_restore_settings();
	ck_assert_msg(!*verdict, "%s: %s", verdict, hex);
	ck_assert_msg(!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM, "hangs: %s", hex);
	ck_assert_msg(!WIFEXITED(status) || !WEXITSTATUS(status), "cannot be run: %s", hex);
	return is_new(&input->first);
}

static void keep(const struct input *input)
{
	if (nr_corpus < MOST_INPUTS)
		corpus[nr_corpus++] = *input;
}

/* The corpus. */
static void replay(void)
{
	FILE *file = fopen(CORPUS, "re");
	char line[2 * CALLS_MOST + 16];
	struct input input;

	while (file && fgets(line, sizeof(line), file))
		if (from_hex(line, &input)) {
			run(&input);
			keep(&input);
		}
	if (file)
		fclose(file);
}

static size_t append(struct input *input, size_t at, uint8_t kind)
{
	size_t size = calls_size(kind);

	if (at + size > CALLS_MOST)
		return at;
	input->bytes[at] = kind;
	/* Small numbers coincide more often. */
	for (size_t i = 1; i < size; i++)
		input->bytes[at + i] = pick(3) ? pick(4) : pick(256);
	return at + size;
}

/* Where one of its calls begins. */
static size_t pick_call(const struct input *input)
{
	size_t at = 0, chosen = 0, nr = 0;

	for (; at < input->size; at += calls_size(input->bytes[at]))
		if (!pick(++nr))
			chosen = at;
	return chosen;
}

static void change(struct input *input)
{
	size_t at = pick_call(input), size = calls_size(input->bytes[at]), other_at;
	const struct input *other = &corpus[pick(nr_corpus)];
	struct input old = *input;

	switch (pick(6)) {
	case 0:		/* another argument */
	case 1:
		at += 1 + pick(size > 1 ? size - 1 : 1);
		if (at < input->size)
			input->bytes[at] = pick(2) ? pick(4) : pick(256);
		break;
	case 2:		/* one call more, in between */
		input->size = append(input, at, pick(calls_kinds()));
		if (input->size + old.size - at <= CALLS_MOST) {
			memcpy(input->bytes + input->size, old.bytes + at, old.size - at);
			input->size += old.size - at;
		}
		break;
	case 3:		/* one less */
		if (at + size < input->size) {
			memmove(input->bytes + at, input->bytes + at + size, input->size - at - size);
			input->size -= size;
		}
		break;
	case 4:		/* one more at the end */
		input->size = append(input, input->size, pick(calls_kinds()));
		break;
	case 5:		/* the end of another */
		other_at = pick_call(other);
		if (at + other->size - other_at <= CALLS_MOST) {
			memcpy(input->bytes + at, other->bytes + other_at, other->size - other_at);
			input->size = at + other->size - other_at;
		}
		break;
	}
}

static unsigned int seconds(void)
{
	char line[4096], *found;

	if (file_read("/proc/cmdline", line, sizeof(line)) > 0 && (found = strstr(line, "kfuzz.seconds=")))
		return atoi(found + strlen("kfuzz.seconds="));
	return SECONDS;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static size_t ran(const char *function, size_t *of)
{
	size_t n = 0;

	*of = 0;
	for (size_t i = 0; i < nr_points; i++)
		if (!function || !strcmp(points[i].function, function)) {
			++*of;
			n += point_ran[i];
		}
	return n;
}

static bool generated(const char *function)
{
	return !strncmp(function, "trace_", 6) || !strncmp(function, "perf_trace_", 11) ||
	       !strncmp(function, "__bpf_trace_", 12) || !strncmp(function, "__traceiter_", 12) ||
	       !strncmp(function, "__probestub_", 12);
}

static void report(unsigned int runs)
{
	size_t n, of, macros = 0, edges = 0;

	for (size_t i = 0; i < nr_points; i++)
		macros += generated(points[i].function);
	n = ran(NULL, &of);
	for (size_t i = 0; i < EDGES; i++)
		edges += edge_ran[i];
	printf("# %u programs run, %zu kept; %zu of %zu points of the driver ran (%zu more are of trace events), %zu edges\n",
	       runs, nr_corpus, n, of - macros, macros, edges);
	for (size_t i = 0; i < nr_points; i++) {
		const char *function = points[i].function;

		if ((i && !strcmp(points[i - 1].function, function)) || generated(function))
			continue;
		n = ran(function, &of);
		if (n < of)
			printf("# %3zu of %3zu  %s()\n", n, of, function);
	}
}

static void save(void)
{
	FILE *file = fopen(KEPT, "we");
	char hex[2 * CALLS_MOST + 1];

	for (size_t i = 0; file && i < nr_corpus; i++) {
		if (!corpus[i].first)
			continue;
		to_hex(&corpus[i], hex);
		fprintf(file, "%s\n", hex);
	}
	if (file)
		fclose(file);
}

START_TEST(nothing_goes_wrong)
{
	double end = now() + (seconds() < MOST_SECONDS ? seconds() : MOST_SECONDS);
	unsigned int runs = 0, replayed;
	struct input input = { .size = 0 };
	size_t n, of;

	corpus = calloc(MOST_INPUTS, sizeof(*corpus));
	ck_assert_ptr_nonnull(corpus);
	verdict = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(verdict, MAP_FAILED);
	kernel_log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	ck_assert_works(kernel_log);
	seed ^= (uint64_t)time(NULL) << 20 ^ getpid();
	find_points();
	kcov_open();

	replay();
	replayed = nr_corpus;
	n = ran(NULL, &of);
	printf("# %u programs replayed, %zu of %zu points\n", replayed, n, of);
	if (!nr_corpus)
		for (unsigned int kind = 0; kind < calls_kinds(); kind++) {
			input.size = append(&input, 0, 0);
			input.size = append(&input, input.size, kind);
			run(&input);
			keep(&input);
		}
	while (now() < end) {
		input = corpus[pick(nr_corpus)];
		for (unsigned int i = 0; i < 1 + pick(4); i++)
			change(&input);
		if (run(&input))
			keep(&input);
		runs++;
	}
	report(runs);
	save();
	/* The programs must run a good part of the driver. */
	n = ran(NULL, &of);
	ck_assert_uint_gt(n, of / 4);
}
END_TEST

Suite *suite(void)
{
	const char *missing = kcov_missing();
	Suite *s = suite_create("kfuzz");
	TCase *tc = add_group(s, "calls");

	if (!missing)
		tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	tcase_set_timeout(tc, seconds() + 120);
	add_test_or_skip(tc, nothing_goes_wrong, missing);
	return s;
}
