// SPDX-License-Identifier: MIT
/*
 * The core of the broker, driven by chance: clients, devices that fail and hang,
 * other configurations, and a process that dies between any two effects.
 *
 * A seed that is printed is run again with lending/once.  SEED in the environment
 * chooses one.  lending/mutate breaks the core itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "suite.h"
#include "world.h"

static struct world world;

#define STEPS	1000000

static uint64_t first_seed(void)
{
	const char *seed = getenv("SEED");

	return seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
}

START_TEST(nothing_is_violated)
{
	uint64_t seed = first_seed();
	const char *what;

	printf("# seed %llu\n", (unsigned long long)seed);
	what = simulate(&world, seed, STEPS, NO_EFFECT, NO_EFFECT);
	ck_assert_msg(!what, "seed %llu: %s", (unsigned long long)seed, what);
	/* It was about something. */
	ck_assert_uint_gt(world.grants, STEPS / 1000);
	ck_assert_uint_gt(world.waits, STEPS / 1000);
	ck_assert_uint_gt(world.crashes, STEPS / 1000);
	ck_assert_uint_gt(world.news, STEPS / 1000);
	ck_assert_uint_gt(world.mapped, STEPS / 1000);
	ck_assert_uint_gt(world.unmapped, STEPS / 2000);
}
END_TEST

/* The same seed does the same. */
START_TEST(it_can_be_repeated)
{
	uint64_t random;

	ck_assert_ptr_null(simulate(&world, 1, 20000, NO_EFFECT, NO_EFFECT));
	random = world.random;
	ck_assert_ptr_null(simulate(&world, 1, 20000, NO_EFFECT, NO_EFFECT));
	ck_assert_uint_eq(world.random, random);
}
END_TEST

/*
 * Effects of one event whose order matters. docs/broker.md says why the order of others
 * does not matter.
 */
static const struct {
	enum effect_type first, second;
} orders[] = {
	{ EFFECT_SAVE_START, EFFECT_OPEN },
	{ EFFECT_SAVE_CLIENT, EFFECT_REPLY },
	{ EFFECT_KEEP, EFFECT_REPLY },
	{ EFFECT_SAVE_LEASE, EFFECT_SAVE_LEASE },
	{ EFFECT_SAVE_LEASE, EFFECT_REPLY },
	{ EFFECT_SAVE_LEASE, EFFECT_SEND },
	{ EFFECT_SAVE_LEASE, EFFECT_REVOKE },
	{ EFFECT_SAVE_LEASE, EFFECT_EXPORT },
	{ EFFECT_SAVE_DEVICE, EFFECT_OPEN },
	{ EFFECT_FORGET_LEASE, EFFECT_SAVE_LEASE },
};

#define SEEDS	20

START_TEST(a_wrong_order_is_found)
{
	const char *what = NULL;

	for (uint64_t seed = 1; !what && seed <= SEEDS; seed++)
		what = simulate(&world, seed, 4 * STEPS, orders[_i].first, orders[_i].second);
	ck_assert_msg(what != NULL, "effect %d after effect %d was not found", orders[_i].first,
		      orders[_i].second);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("lending_simulation");
	TCase *tc = add_group(s, "simulation");

	/* With sanitizers, on a slow machine. */
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, nothing_is_violated);
	tcase_add_test(tc, it_can_be_repeated);
	tcase_add_loop_test(tc, a_wrong_order_is_found, 0, sizeof(orders) / sizeof(*orders));
	return s;
}
