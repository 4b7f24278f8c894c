// SPDX-License-Identifier: MIT
/*
 * The module's look-up of BAR pages (module/ranges.c), built for user space
 * and held against a model that is too simple to be wrong: a list of the
 * buffer's pages.
 */
#define _GNU_SOURCE
#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "../../module/ranges.c"
#include "suite.h"

#define BAR_PAGES	512
#define BAR_SIZE	((u64)BAR_PAGES * PAGE_SIZE)
#define MOST_RANGES	64

typedef struct vfio_region_dma_range range_t;

static struct dvp_run runs[VFIO_DMABUF_MAX_RANGES];

static int init(struct dvp_ranges *ranges, const range_t *input, u32 nr, u64 bar)
{
	return dvp_ranges_init(ranges, runs, input, nr, bar);
}

static int init_one(u64 offset, u64 length, u64 bar)
{
	range_t range = { .offset = offset, .length = length };
	struct dvp_ranges ranges;

	return init(&ranges, &range, 1, bar);
}

/* The model: element i is the BAR page of buffer page i. */
struct model {
	u64 nr_pages;
	u64 bar_page[MOST_RANGES * BAR_PAGES];
};

static void model_init(struct model *m, const range_t *input, u32 nr)
{
	u64 page;
	u32 i;

	m->nr_pages = 0;
	for (i = 0; i < nr; i++)
		for (page = 0; page < input[i].length / PAGE_SIZE; page++)
			m->bar_page[m->nr_pages++] =
				input[i].offset / PAGE_SIZE + page;
}

static bool model_joined(const struct model *m, u64 page)
{
	return m->bar_page[page] + 1 == m->bar_page[page + 1];
}

/* No ck_assert() for each page: libcheck writes a file at every one. */
static void model_compare(const struct model *m, const struct dvp_ranges *ranges)
{
	struct dvp_where where;
	u64 page, before = 0, after = 0, next;

	ck_assert_uint_eq(ranges->nr_pages, m->nr_pages);
	for (page = 0; page < m->nr_pages; page++) {
		before = page && model_joined(m, page - 1) ? before + 1 : 0;
		if (before == 0) {
			next = page;
			while (next + 1 < m->nr_pages && model_joined(m, next))
				next++;
			after = next + 1 - page;
		} else {
			after--;
		}

		if (!dvp_ranges_find(ranges, page, &where) ||
		    where.bar_page != m->bar_page[page] ||
		    where.before != before || where.after != after)
			ck_abort_msg("page %llu: not BAR page %llu, %llu before, %llu after",
				     page, m->bar_page[page], before, after);
	}
	ck_assert(!dvp_ranges_find(ranges, m->nr_pages, &where));
	ck_assert(!dvp_ranges_find(ranges, m->nr_pages + 1, &where));
	ck_assert(!dvp_ranges_find(ranges, ~0ULL, &where));
}

/* Ranges as they come: any order, overlaps, repeats, and often neighbours. */
static void random_ranges(range_t *input, u32 nr, unsigned int *seed)
{
	u64 first, pages, last_end = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		first = rand_r(seed) % BAR_PAGES;
		if (rand_r(seed) % 3 == 0 && last_end < BAR_PAGES)
			first = last_end;
		pages = 1 + rand_r(seed) % (BAR_PAGES - first);
		if (rand_r(seed) % 2)
			pages = 1 + pages % 4 % (BAR_PAGES - first);
		last_end = first + pages;
		input[i].offset = first * PAGE_SIZE;
		input[i].length = pages * PAGE_SIZE;
	}
}

START_TEST(random_ranges_agree_with_a_page_list)
{
	static struct model model;
	range_t input[MOST_RANGES];
	struct dvp_ranges ranges;
	unsigned int seed = _i;
	u32 nr, round;

	for (round = 0; round < 100; round++) {
		nr = 1 + rand_r(&seed) % (round % 2 ? MOST_RANGES : 4);
		random_ranges(input, nr, &seed);
		model_init(&model, input, nr);
		ck_assert_int_eq(init(&ranges, input, nr, BAR_SIZE), 0);
		model_compare(&model, &ranges);
	}
}
END_TEST

START_TEST(neighbours_in_order_become_one_run)
{
	const range_t input[] = {
		{ 3 * PAGE_SIZE, PAGE_SIZE },
		{ 4 * PAGE_SIZE, 2 * PAGE_SIZE },
		{ 6 * PAGE_SIZE, PAGE_SIZE },
	};
	struct dvp_ranges ranges;
	struct dvp_where where;

	ck_assert_int_eq(init(&ranges, input, 3, BAR_SIZE), 0);
	ck_assert_uint_eq(ranges.nr_runs, 1);
	ck_assert(dvp_ranges_find(&ranges, 2, &where));
	ck_assert_uint_eq(where.bar_page, 5);
	ck_assert_uint_eq(where.before, 2);
	ck_assert_uint_eq(where.after, 2);
}
END_TEST

START_TEST(repeated_and_reversed_ranges_stay_apart)
{
	const range_t input[] = {
		{ PAGE_SIZE, PAGE_SIZE },
		{ PAGE_SIZE, PAGE_SIZE },
		{ 0, PAGE_SIZE },
	};
	struct dvp_ranges ranges;
	struct dvp_where where;

	ck_assert_int_eq(init(&ranges, input, 3, BAR_SIZE), 0);
	ck_assert_uint_eq(ranges.nr_runs, 3);
	ck_assert(dvp_ranges_find(&ranges, 1, &where));
	ck_assert_uint_eq(where.bar_page, 1);
	ck_assert_uint_eq(where.before, 0);
	ck_assert_uint_eq(where.after, 1);
}
END_TEST

START_TEST(no_range_is_invalid)
{
	struct dvp_ranges ranges;

	ck_assert_int_eq(init(&ranges, NULL, 0, BAR_SIZE), -EINVAL);
}
END_TEST

START_TEST(empty_range_is_invalid)
{
	ck_assert_int_eq(init_one(0, 0, BAR_SIZE), -EINVAL);
	ck_assert_int_eq(init_one(BAR_SIZE, 0, BAR_SIZE), -EINVAL);
}
END_TEST

START_TEST(unaligned_range_is_invalid)
{
	ck_assert_int_eq(init_one(1, PAGE_SIZE, BAR_SIZE), -EINVAL);
	ck_assert_int_eq(init_one(PAGE_SIZE / 2, PAGE_SIZE, BAR_SIZE), -EINVAL);
	ck_assert_int_eq(init_one(0, PAGE_SIZE - 1, BAR_SIZE), -EINVAL);
	ck_assert_int_eq(init_one(0, PAGE_SIZE + 1, BAR_SIZE), -EINVAL);
	ck_assert_int_eq(init_one(~0ULL, ~0ULL, BAR_SIZE), -EINVAL);
}
END_TEST

START_TEST(range_must_end_within_the_bar)
{
	ck_assert_int_eq(init_one(0, BAR_SIZE, BAR_SIZE), 0);
	ck_assert_int_eq(init_one(BAR_SIZE - PAGE_SIZE, PAGE_SIZE, BAR_SIZE), 0);
	ck_assert_int_eq(init_one(0, BAR_SIZE + PAGE_SIZE, BAR_SIZE), -EINVAL);
	ck_assert_int_eq(init_one(BAR_SIZE - PAGE_SIZE, 2 * PAGE_SIZE, BAR_SIZE),
			 -EINVAL);
	ck_assert_int_eq(init_one(BAR_SIZE, PAGE_SIZE, BAR_SIZE), -EINVAL);
	ck_assert_int_eq(init_one(0, PAGE_SIZE, 0), -EINVAL);
}
END_TEST

START_TEST(end_of_a_range_must_not_overflow)
{
	const u64 last = -(u64)PAGE_SIZE;
	/* In the first range the limit of the whole buffer would hide it. */
	const range_t second[] = { { 0, PAGE_SIZE }, { last, PAGE_SIZE } };
	struct dvp_ranges ranges;

	ck_assert_int_eq(init(&ranges, second, 2, last), -EOVERFLOW);
	ck_assert_int_eq(init_one(last, PAGE_SIZE, last), -EOVERFLOW);
	ck_assert_int_eq(init_one(last, last, last), -EOVERFLOW);
	ck_assert_int_eq(init_one(PAGE_SIZE, last, last), -EOVERFLOW);
	ck_assert_int_eq(init_one(1ULL << 63, 1ULL << 63, last), -EOVERFLOW);
}
END_TEST

START_TEST(sum_of_lengths_must_not_overflow)
{
	const u64 bar = 1ULL << 63;
	const range_t input[] = { { 0, bar }, { 0, bar } };
	struct dvp_ranges ranges;

	ck_assert_int_eq(init(&ranges, input, 2, bar), -EOVERFLOW);
}
END_TEST

START_TEST(buffer_must_end_below_the_limit)
{
	const u64 limit = VFIO_DMABUF_MAX_END;

	ck_assert_int_eq(init_one(0, limit, 2 * limit), 0);
	ck_assert_int_eq(init_one(PAGE_SIZE, limit - PAGE_SIZE, 2 * limit), 0);
	ck_assert_int_eq(init_one(0, limit + PAGE_SIZE, 2 * limit), -EOVERFLOW);
	ck_assert_int_eq(init_one(PAGE_SIZE, limit, 2 * limit), -EOVERFLOW);
	ck_assert_int_eq(init_one(limit, PAGE_SIZE, 2 * limit), -EOVERFLOW);
}
END_TEST

START_TEST(limit_counts_from_the_first_range)
{
	const u64 half = VFIO_DMABUF_MAX_END / 2;
	const range_t low_first[] = { { 0, half }, { half, half } };
	const range_t high_first[] = { { half, half }, { 0, half } };
	const range_t too_high[] = { { half, half }, { 0, half }, { 0, PAGE_SIZE } };
	struct dvp_ranges ranges;

	ck_assert_int_eq(init(&ranges, low_first, 2, 2 * half), 0);
	ck_assert_int_eq(init(&ranges, high_first, 2, 2 * half), -EOVERFLOW);
	ck_assert_int_eq(init(&ranges, too_high, 3, 2 * half), -EOVERFLOW);
}
END_TEST

START_TEST(a_bad_range_is_found_at_any_place)
{
	range_t input[MOST_RANGES];
	struct dvp_ranges ranges;
	u32 i;

	for (i = 0; i < MOST_RANGES; i++) {
		input[i].offset = i * PAGE_SIZE;
		input[i].length = PAGE_SIZE;
	}
	for (i = 0; i < MOST_RANGES; i++) {
		input[i].length = 0;
		ck_assert_int_eq(init(&ranges, input, MOST_RANGES, BAR_SIZE),
				 -EINVAL);
		input[i].length = PAGE_SIZE;
	}
	ck_assert_int_eq(init(&ranges, input, MOST_RANGES, BAR_SIZE), 0);
}
END_TEST

/* Isolated pages from the end of a BAR to its start: no two ever join. */
static void reversed_pages(struct dvp_ranges *ranges, u32 nr)
{
	range_t *input = calloc(nr, sizeof(*input));
	u32 i;

	ck_assert_ptr_nonnull(input);
	for (i = 0; i < nr; i++) {
		input[i].offset = (u64)(nr - 1 - i) * 2 * PAGE_SIZE;
		input[i].length = PAGE_SIZE;
	}
	ck_assert_int_eq(init(ranges, input, nr, (u64)nr * 2 * PAGE_SIZE), 0);
	ck_assert_uint_eq(ranges->nr_runs, nr);
	free(input);
}

/* CPU time of that many look-ups, all of them checked. */
static clock_t look_up_all(const struct dvp_ranges *ranges, u32 look_ups)
{
	const u32 nr = ranges->nr_runs;
	const clock_t start = clock();
	struct dvp_where where;
	u32 i;

	for (i = 0; i < look_ups; i++) {
		u64 page = i % nr;

		if (!dvp_ranges_find(ranges, page, &where) ||
		    where.bar_page != (nr - 1 - page) * 2 ||
		    where.before != 0 || where.after != 1)
			ck_abort_msg("wrong answer for page %llu of %u", page, nr);
	}
	return clock() - start;
}

/*
 * From 2^6 to 2^16 runs the work of a binary search grows to less than three
 * times, that of a linear one to a thousand times.
 */
START_TEST(look_up_grows_with_the_logarithm)
{
	const u32 look_ups = 1 << 19;
	struct dvp_ranges ranges;
	clock_t few, many;

	reversed_pages(&ranges, 1 << 6);
	few = look_up_all(&ranges, look_ups);
	reversed_pages(&ranges, VFIO_DMABUF_MAX_RANGES);
	many = look_up_all(&ranges, look_ups);
	ck_assert_msg(many < 30 * few, "%ld ticks with 64 runs, %ld with %u",
		      few, many, VFIO_DMABUF_MAX_RANGES);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("ranges");
	TCase *layout = tcase_create("layout");
	TCase *errors = tcase_create("errors");

	suite_add_tcase(s, layout);
	tcase_set_timeout(layout, 60);
	tcase_add_loop_test(layout, random_ranges_agree_with_a_page_list, 0, 10);
	tcase_add_test(layout, neighbours_in_order_become_one_run);
	tcase_add_test(layout, repeated_and_reversed_ranges_stay_apart);
	tcase_add_test(layout, look_up_grows_with_the_logarithm);

	suite_add_tcase(s, errors);
	tcase_add_test(errors, no_range_is_invalid);
	tcase_add_test(errors, empty_range_is_invalid);
	tcase_add_test(errors, unaligned_range_is_invalid);
	tcase_add_test(errors, range_must_end_within_the_bar);
	tcase_add_test(errors, end_of_a_range_must_not_overflow);
	tcase_add_test(errors, sum_of_lengths_must_not_overflow);
	tcase_add_test(errors, buffer_must_end_below_the_limit);
	tcase_add_test(errors, limit_counts_from_the_first_range);
	tcase_add_test(errors, a_bad_range_is_found_at_any_place);

	return s;
}
