// SPDX-License-Identifier: MIT
/* What revoking a slice costs, with one and with a thousand other slices mapped. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "memory.h"
#include "sample.h"
#include "slice.h"
#include "suite.h"
#include "twins.h"

#define BAR 2
#define PAGE 4096UL
#define OTHERS 1000

/* The page of the slice that is revoked. */
#define VICTIM (100 * PAGE)

static struct twins twins;

/* The client whose slice is revoked, and the others, each with one of its own. */
static struct client *victim;
static struct client *others[OTHERS];
static long maps[OTHERS];
static unsigned int mapped;
static bool mapped_same_page;

struct side {
	unsigned int others;
	bool same_page;		/* they map the page that is revoked */
};

/* In a client: faults that reading a mapping takes. */
static long step_faults(const struct client_step *step)
{
	uint64_t before;
	uint32_t value;
	int number;

	/* The client's own pages must be present before. */
	faults();
	before = faults();
	number = try_read32((void *)step->arg[0], &value);
	if (number)
		return -1;
	return (long)(faults() - before);
}

static void unmap_others(void)
{
	while (mapped) {
		mapped--;
		client_munmap(others[mapped], maps[mapped], PAGE);
	}
}

static void map_others(const void *what)
{
	const struct side *side = what;

	if (mapped == side->others && mapped_same_page == side->same_page)
		return;
	unmap_others();
	mapped_same_page = side->same_page;
	for (; mapped < side->others; mapped++) {
		uint64_t at = VICTIM + (side->same_page ? 0 : (mapped + 1) * PAGE);
		int fd = slice_new(&twins.ours, BAR, at, PAGE);

		maps[mapped] = client_mmap(others[mapped], fd, 0, PAGE, PROT_READ);
		ck_assert_int_ne(maps[mapped], (long)MAP_FAILED);
		close(fd);
		client_read32(others[mapped], maps[mapped]);
	}
}

static void run_revoke(const void *side, uint64_t *counts)
{
	int fd = slice_new(&twins.ours, BAR, VICTIM, PAGE), ret;
	long map = client_mmap(victim, fd, 0, PAGE, PROT_READ);
	uint64_t begin;

	(void)side;
	client_read32(victim, map);
	begin = instructions();
	ret = slice_revoke(&twins.ours, fd);
	counts[0] = instructions() - begin;
	if (ret)
		ck_abort_msg("revoke: %s", strerror(errno));
	close(fd);
	client_munmap(victim, map, PAGE);
}

/* The faults of all others together because of one revocation. */
static void run_faults(const void *side, uint64_t *counts)
{
	uint64_t ignored[MOST_COUNTS];
	unsigned int i;
	long taken;

	/* All pages are present, so no client takes a fault without the revoke. */
	for (i = 0; i < mapped; i++)
		client_read32(others[i], maps[i]);
	run_revoke(side, ignored);
	counts[0] = 0;
	for (i = 0; i < mapped; i++) {
		taken = client_call(others[i], step_faults,
				    &(struct client_step){ { maps[i] }, -1 });
		ck_assert_int_ge(taken, 0);
		counts[0] += taken;
	}
}

/* A zap of the whole device must show, or the count above proves nothing. */
static void check_that_faults_show(void)
{
	long taken;

	device_set_memory(&twins.ours, false);
	device_set_memory(&twins.ours, true);
	taken = client_call(others[0], step_faults,
			    &(struct client_step){ { maps[0] }, -1 });
	ck_assert_msg(taken == 1, "a client took %ld faults, not 1, after memory was off", taken);
}

static void measure_others(const char *cost, const char *extra_faults, bool same_page)
{
	const struct side many = { OTHERS, same_page }, one = { 1, same_page };
	const struct measurement revoke = {
		.names = { cost },
		.run = run_revoke,
		.prepare = map_others,
		.batches = 4,
		.runs = 50,
	};
	const struct measurement taken = {
		.names = { extra_faults },
		.run = run_faults,
		.prepare = map_others,
		.batches = 1,
		.runs = 3,
	};

	measure(&revoke, &many, &one);
	measure(&taken, &many, &one);
	map_others(&many);
	check_that_faults_show();
	unmap_others();
}

START_TEST(revocation)
{
	unsigned int i;

	/* Before the devices are open: a client must have nothing of them. */
	victim = client_start(CLIENT_NOBODY);
	for (i = 0; i < OTHERS; i++)
		others[i] = client_start(CLIENT_NOBODY);
	twins_open(&twins, "IVSHMEM", "IVSHMEM2");

	measure_others("revoke", "revoke-faults", false);
	measure_others("revoke-same-page", "revoke-same-page-faults", true);

	client_end(victim);
	for (i = 0; i < OTHERS; i++)
		client_end(others[i]);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("revoke");

	tcase_add_test(add_group(s, "others"), revocation);
	return s;
}
