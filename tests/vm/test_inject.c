// SPDX-License-Identifier: MIT
/*
 * Makes every call of the driver that can fail return an error, one after the other, in
 * every operation that makes the call. The call sites are read from the module's file,
 * so that new ones are included.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "callsites.h"
#include "importer.h"
#include "inject.h"
#include "kernel.h"
#include "operations.h"
#include "suite.h"
#include "sysfs.h"

#define MODULE		"dmabuf_vfio_pci"
/* Times that a site is passed in one operation; one in a loop need not fail in each. */
#define MOST_HITS	4

struct target {
	struct callsite site;
	const struct failure *failure;
};

static struct target *targets;
static size_t nr_targets;
/* Failures at each site, counted by the tests' processes. */
static unsigned int *failed;

/*
 * Failures that the operation does not report, because it does not need the call or
 * tries again. It must report all others.
 */
static const struct {
	const char *operation, *callee;	/* NULL: any */
} tolerated[] = {
	/* The kernel binds the virtual function, and does not report that this failed. */
	{ "virtual function", NULL },
	{ NULL, "debugfs_create_dir" },
	{ NULL, "debugfs_create_file_full" },
	/* Faults are taken again. */
	{ NULL, "apply_to_page_range" },
	{ NULL, "vmf_insert_pfn_pud" },
	/* Only importers need it, and get an error. */
	{ NULL, "pcim_p2pdma_provider" },
	/* A write whose data cannot be read is vfio-pci-core's to refuse. */
	{ NULL, "__get_user_1" },
};

/* Failures for which user space gets another errno. */
static const struct {
	const char *operation, *callee;
	int error;
} translated[] = {
	{ NULL }
};

static bool is_tolerated(const struct operation *op, const struct target *t)
{
	if (t->failure->flags & FAILURE_RETRY)
		return true;
	for (size_t i = 0; i < sizeof(tolerated) / sizeof(*tolerated); i++)
		if ((!tolerated[i].callee || !strcmp(tolerated[i].callee, t->site.callee)) &&
		    (!tolerated[i].operation || !strcmp(tolerated[i].operation, op->name)))
			return true;
	return false;
}

static int error_of(const struct operation *op, const struct target *t)
{
	for (size_t i = 0; translated[i].operation; i++)
		if (!strcmp(translated[i].callee, t->site.callee) &&
		    !strcmp(translated[i].operation, op->name))
			return translated[i].error;
	return t->failure->error;
}

/* What the kernel makes EINTR, or a new try, of where a signal is really pending. */
#define ERESTARTSYS	512

/* A wait that ended although no signal is pending. */
static bool interrupted(const struct operation *op, const struct target *t, int error)
{
	if (!(t->failure->flags & FAILURE_RETRY))
		return false;
	return error == ERESTARTSYS || error == EINTR || (error == EFAULT && !strncmp(op->name, "fault", 5));
}

/* In the parent of the tests: sites that can fail, of those that stay after loading. */
static void find_targets(void)
{
	struct callsite *sites;
	size_t nr;

	if (!callsites_read(module_file(DRIVER), &sites, &nr)) {
		fprintf(stderr, "%s: %s\n", module_file(DRIVER), strerror(errno));
		exit(1);
	}
	targets = calloc(nr, sizeof(*targets));
	for (size_t i = 0; i < nr; i++) {
		targets[nr_targets].site = sites[i];
		/* Whether it is known how each fails is a test of its own. */
		targets[nr_targets].failure = failure_known(&sites[i]);
		nr_targets += !!targets[nr_targets].failure;
	}
	free(sites);
	failed = mmap(NULL, nr_targets * sizeof(*failed), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!targets || failed == MAP_FAILED)
		abort();
}

START_TEST(callees_are_known)
{
	struct callsite *sites;
	size_t nr;

	ck_assert(callsites_read(module_file(DRIVER), &sites, &nr));
	ck_assert_uint_gt(nr, 100);
	for (size_t i = 0; i < nr; i++)
		failure_of(&sites[i]);
	ck_assert_uint_gt(nr_targets, 30);
	free(sites);
}
END_TEST

static bool runs_at_load(const struct callsite *site)
{
	return !strcmp(site->section, ".init.text");
}

static void check_state(const struct operation_state *before, const struct target *t,
			unsigned int after, const char *when)
{
	struct operation_state now = operation_state();

	ck_assert_msg(now.buffers == before->buffers && now.fds == before->fds &&
		      now.mappings == before->mappings,
		      "%s (%s() fails in %s(), pass %u): %zu buffers, %zu fds, %zu mappings, and before %zu, %zu, %zu",
		      when, t->site.callee, t->site.function, after, now.buffers, now.fds,
		      now.mappings, before->buffers, before->fds, before->mappings);
}

/* The operation with one call that fails. */
static void fail_once(const struct operation *op, int fd, int number, const struct target *t,
		      unsigned int after)
{
	struct operation_state empty = operation_state(), before;
	unsigned int hits;
	int error;
	long ret;

	op->prepare();
	before = operation_state();
	inject_fail(fd, number, t->failure, after, 1);
	ret = op->run();
	error = ret < 0 ? errno : 0;
	hits = inject_hits(fd, number);
	inject_count(fd, number);
	/* The operation does not make the same number of calls each time. */
	if (hits > after)
		failed[t - targets]++;

	if (ret < 0) {
		ck_assert_msg(hits > after, "%s fails with %s, and %s() in %s() was not reached",
			      op->name, strerrorname_np(error), t->site.callee, t->site.function);
		ck_assert_msg(error == error_of(op, t) || interrupted(op, t, error),
			      "%s fails with %s, not %s, where %s() fails in %s(), pass %u", op->name,
			      strerrorname_np(error), strerrorname_np(error_of(op, t)),
			      t->site.callee, t->site.function, after);
		check_state(&before, t, after, "after the failure");
		ret = op->run();
		ck_assert_msg(ret >= 0 || (op->again && errno == op->again),
			      "%s fails with %s after %s() failed in %s(), pass %u", op->name,
			      strerrorname_np(errno), t->site.callee, t->site.function, after);
	} else if (hits > after) {
		ck_assert_msg(is_tolerated(op, t), "%s works though %s() fails in %s(), pass %u",
			      op->name, t->site.callee, t->site.function, after);
	}
	if (ret >= 0 && op->undo)
		op->undo();
	operation_cleanup();
	check_state(&empty, t, after, "at the end");
}

/* Armed once for all tests of a group: that takes time. */
static int armed = -1;
static int *numbers;

static void arm(void)
{
	armed = inject_open();
	numbers = calloc(nr_targets, sizeof(*numbers));
	ck_assert_ptr_nonnull(numbers);
	for (size_t i = 0; i < nr_targets; i++)
		if (!runs_at_load(&targets[i].site))
			numbers[i] = inject_arm(armed, MODULE, &targets[i].site);
		else
			numbers[i] = -1;
}

static void disarm(void)
{
	close(armed);
	free(numbers);
}

static void fail_each(const struct operation *op)
{
	unsigned int *hits = calloc(nr_targets, sizeof(*hits));
	size_t i;

	ck_assert_ptr_nonnull(hits);
	op->prepare();
	for (i = 0; i < nr_targets; i++)
		if (numbers[i] >= 0)
			inject_count(armed, numbers[i]);
	ck_assert_msg(op->run() >= 0, "%s: %s", op->name, strerrorname_np(errno));
	for (i = 0; i < nr_targets; i++)
		if (numbers[i] >= 0)
			hits[i] = inject_hits(armed, numbers[i]);
	if (op->undo)
		op->undo();
	operation_cleanup();

	for (i = 0; i < nr_targets; i++) {
		const struct target *t = &targets[i];
		unsigned int most = t->failure->flags & FAILURE_FIRST ? 1 : MOST_HITS;

		for (unsigned int after = 0; after < hits[i] && after < most; after++)
			fail_once(op, armed, numbers[i], t, after);
	}
	free(hits);
}

START_TEST(each_failure_is_clean)
{
	fail_each(&operations[_i]);
}
END_TEST

static void unload(void)
{
	ck_assert_works(syscall(SYS_delete_module, MODULE, 0));
}

/* By a program, which only reports that it failed. */
static bool load(void)
{
	return !run_program("/usr/bin/modprobe", "-q", DRIVER, NULL);
}

/* The module, with one site that fails while it is loaded. */
static void fail_at_load(const struct target *t)
{
	int fd = inject_open();
	int number = inject_arm_at_load(fd, MODULE, &t->site);

	inject_fail(fd, number, t->failure, 0, 1);
	ck_assert_msg(load() == !t->failure->error, "%s() in %s() fails, and the module %s",
		      t->site.callee, t->site.function, t->failure->error ? "loads" : "does not load");
	ck_assert_uint_eq(inject_hits(fd, number), 1);
	failed[t - targets]++;
	close(fd);
	if (!t->failure->error)
		unload();
	ck_assert_uint_eq(section_address(MODULE, ".text"), 0);
}

/*
 * Sites that no operation has come by may be what loading comes by.  Devices bind by
 * themselves again: their driver_override has outlived the driver.
 */
START_TEST(loading_fails_cleanly)
{
	unsigned int *hits = calloc(nr_targets, sizeof(*hits));
	int *at_load = calloc(nr_targets, sizeof(*at_load));
	int fd = inject_open();

	ck_assert_ptr_nonnull(hits);
	ck_assert_ptr_nonnull(at_load);
	unload();
	for (size_t i = 0; i < nr_targets; i++)
		if (!failed[i])
			at_load[i] = inject_arm_at_load(fd, MODULE, &targets[i].site);
	ck_assert(load());
	for (size_t i = 0; i < nr_targets; i++)
		if (!failed[i])
			hits[i] = inject_hits(fd, at_load[i]);
	unload();
	close(fd);

	for (size_t i = 0; i < nr_targets; i++)
		if (hits[i])
			fail_at_load(&targets[i]);
	ck_assert(load());
	free(at_load);
	free(hits);
}
END_TEST

/* Nothing is left out but for a reason. */
static const struct {
	const char *function, *callee, *reason;
} unreached[] = {
	{ "dvp_insert", "down_read_killable", "only where huge_lock is held at that moment" },
	{ "dvp_access_wait", "prepare_to_wait_event", "only while a reset is under way" },
	{ "dvp_access_wait", "schedule_timeout_killable", "only after a trylock that fails, and cannot fail" },
	{ "wait_for_unmapping", "prepare_to_wait_event", "waits of those who cannot be interrupted" },
};

#define EXCUSES	(sizeof(unreached) / sizeof(*unreached))

/* The number of a site's excuse; EXCUSES if it has none. */
static size_t excuse_of(const struct callsite *site)
{
	size_t i;

	/* What the compiler splits off has the function's name with something after it. */
	for (i = 0; i < EXCUSES; i++)
		if (!strcmp(unreached[i].callee, site->callee) &&
		    !strncmp(unreached[i].function, site->function, strlen(unreached[i].function)))
			break;
	return i;
}

START_TEST(every_site_has_failed)
{
	unsigned int done = 0, excused = 0;
	bool needed[EXCUSES] = { false };

	for (size_t i = 0; i < nr_targets; i++) {
		const struct callsite *site = &targets[i].site;
		size_t excuse = excuse_of(site);

		if (failed[i]) {
			done++;
			continue;
		}
		printf("# not failed: %s() in %s(), %s+%#jx: %s\n", site->callee, site->function, site->section,
		       (uintmax_t)site->offset, excuse < EXCUSES ? unreached[excuse].reason : "?");
		if (excuse == EXCUSES)
			continue;
		needed[excuse] = true;
		excused++;
	}
	printf("# call sites that failed / can fail: %u / %zu, %u more excused\n", done, nr_targets, excused);
	ck_assert_uint_eq(done + excused, nr_targets);
	for (size_t i = 0; i < EXCUSES; i++)
		ck_assert_msg(needed[i], "%s() in %s() fails under test, and is excused",
			      unreached[i].callee, unreached[i].function);
}
END_TEST

/* It takes long, and only the debug kernel detects errors of memory. */
static const char *why_not(void)
{
	if (access("/sys/kernel/debug/failslab", F_OK) && !kernel_started_with("lab.inject"))
		return "this kernel has no fault injection";
	return NULL;
}

Suite *suite(void)
{
	Suite *s = suite_create("inject");
	TCase *tc = add_group(s, "sites");
	const char *missing = why_not();

	add_test_or_skip(tc, callees_are_known, missing);
	if (missing)
		return s;
	module_load("dmabuf-test-inject");
	find_targets();

	tc = add_group(s, "operations");
	tcase_add_unchecked_fixture(tc, arm, disarm);
	tcase_add_loop_test(tc, each_failure_is_clean, 0, first_import);

	tc = add_group(s, "importer");
	tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	tcase_add_unchecked_fixture(tc, arm, disarm);
	tcase_add_loop_test(tc, each_failure_is_clean, first_import, nr_operations);

	tc = add_group(s, "loading");
	tcase_add_test(tc, loading_fails_cleanly);
	tcase_add_test(tc, every_site_has_failed);
	return s;
}
