// SPDX-License-Identifier: MIT
/*
 * The allocator of IOVAs, compared with a model that is too simple to be wrong: a byte
 * for each page.  The model knows where there is room.  The allocator can choose any of
 * these places, within the rules that are checked.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "iova.h"
#include "suite.h"

#define PAGE	0x1000ULL
#define PAGES	256

static const struct vdb_iova_range everything = { 0, UINT64_MAX };

static struct vdb_iova_wish wish_for(uint64_t length, uint64_t align)
{
	return (struct vdb_iova_wish){ .length = length, .align = align, .within = everything };
}

/* ---- the model ---- */

struct model {
	struct vdb_iova_range usable[8];
	size_t nr_usable;
	/* Number of the usable range that contains a page, from 1; 0: none does. */
	uint8_t range[PAGES];
	bool taken[PAGES];
};

static bool model_fits(const struct model *m, uint64_t page, const struct vdb_iova_wish *wish)
{
	uint64_t nr = wish->length / PAGE;

	if (page + nr > PAGES || page * PAGE % wish->align != wish->phase ||
	    page * PAGE < wish->within.first || (page + nr) * PAGE - 1 > wish->within.last)
		return false;
	for (uint64_t i = page; i < page + nr; i++)
		if (!m->range[i] || m->range[i] != m->range[page] || m->taken[i])
			return false;
	return true;
}

static bool model_has_room(const struct model *m, const struct vdb_iova_wish *wish)
{
	for (uint64_t page = 0; page < PAGES; page++)
		if (model_fits(m, page, wish))
			return true;
	return false;
}

static void model_mark(struct model *m, uint64_t iova, uint64_t length, bool taken)
{
	memset(&m->taken[iova / PAGE], taken, length / PAGE);
}

static bool model_all_free(const struct model *m, uint64_t page, uint64_t nr)
{
	for (uint64_t i = page; i < page + nr; i++)
		if (m->taken[i])
			return false;
	return true;
}

/* Random usable ranges, some of them adjacent. */
static void model_init(struct model *m)
{
	uint64_t page = rand() % 4;

	memset(m, 0, sizeof(*m));
	while (m->nr_usable < 8 && page < PAGES) {
		uint64_t nr = 1 + rand() % 64;

		if (page + nr > PAGES)
			nr = PAGES - page;
		m->usable[m->nr_usable++] = (struct vdb_iova_range){ page * PAGE, (page + nr) * PAGE - 1 };
		memset(&m->range[page], m->nr_usable, nr);
		page += nr + rand() % 3 * (rand() % 8);
	}
}

/* ---- random sequences ---- */

struct piece {
	uint64_t iova, length;
};

static struct vdb_iova_wish random_wish(void)
{
	struct vdb_iova_wish wish = wish_for((1 + rand() % (rand() % 8 ? 8 : 80)) * PAGE,
					     PAGE << (rand() % 3 ? 0 : rand() % 6));

	if (rand() % 4 == 0)
		wish.phase = rand() % (wish.align / PAGE) * PAGE;
	if (rand() % 4 == 0)
		wish.within.first = rand() % PAGES * PAGE;
	if (rand() % 4 == 0)
		wish.within.last = wish.within.first + rand() % PAGES * PAGE + PAGE - 1;
	return wish;
}

static void allocate(struct vdb_iova_space *space, struct model *m, struct piece *pieces, size_t *nr)
{
	struct vdb_iova_wish wish = random_wish();
	uint64_t iova;

	if (!vdb_iova_find(space, m->usable, m->nr_usable, &wish, &iova)) {
		if (model_has_room(m, &wish))
			ck_abort_msg("no place found for %#jx bytes", (uintmax_t)wish.length);
		return;
	}
	if (iova % PAGE || iova / PAGE >= PAGES || !model_fits(m, iova / PAGE, &wish))
		ck_abort_msg("%#jx is no place for %#jx bytes", (uintmax_t)iova, (uintmax_t)wish.length);
	if (vdb_iova_take(space, iova, wish.length, false))
		ck_abort_msg("%#jx cannot be taken", (uintmax_t)iova);
	model_mark(m, iova, wish.length, true);
	pieces[(*nr)++] = (struct piece){ iova, wish.length };
}

/* At a place that the caller chooses, which can be anywhere. */
static void reserve(struct vdb_iova_space *space, struct model *m, struct piece *pieces, size_t *nr)
{
	uint64_t page = rand() % PAGES, count = 1 + rand() % 8;
	bool is_free;

	if (page + count > PAGES)
		count = PAGES - page;
	is_free = model_all_free(m, page, count);
	if (!vdb_iova_take(space, page * PAGE, count * PAGE, false) != is_free)
		ck_abort_msg("page %ju is %s", (uintmax_t)page, is_free ? "free" : "taken");
	if (is_free) {
		model_mark(m, page * PAGE, count * PAGE, true);
		pieces[(*nr)++] = (struct piece){ page * PAGE, count * PAGE };
	}
}

static void give_back(struct vdb_iova_space *space, struct model *m, struct piece *pieces, size_t *nr)
{
	size_t i = rand() % *nr;
	struct piece piece = pieces[i];

	if (!vdb_iova_has(space, piece.iova, piece.length) ||
	    vdb_iova_has(space, piece.iova, piece.length + PAGE) ||
	    vdb_iova_has(space, piece.iova, 0))
		ck_abort_msg("%#jx is not what was taken", (uintmax_t)piece.iova);
	vdb_iova_give(space, piece.iova);
	if (vdb_iova_has(space, piece.iova, piece.length))
		ck_abort_msg("%#jx is still taken", (uintmax_t)piece.iova);
	model_mark(m, piece.iova, piece.length, false);
	pieces[i] = pieces[--*nr];
}

START_TEST(random_sequences)
{
	srand(_i);
	for (int round = 0; round < 20; round++) {
		struct vdb_iova_space space = { 0 };
		struct piece pieces[PAGES];
		struct model m;
		size_t nr = 0;

		model_init(&m);
		for (int step = 0; step < 600; step++) {
			int lot = rand() % 10;

			if (nr && lot < 4)
				give_back(&space, &m, pieces, &nr);
			else if (lot < 5)
				reserve(&space, &m, pieces, &nr);
			else
				allocate(&space, &m, pieces, &nr);
			if (space.nr != nr)
				ck_abort_msg("%zu ranges, not %zu", space.nr, nr);
		}
		while (nr)
			give_back(&space, &m, pieces, &nr);
		ck_assert_uint_eq(space.nr, 0);
		vdb_iova_free(&space);
	}
}
END_TEST

/* ---- single properties ---- */

static uint64_t must_take(struct vdb_iova_space *space, const struct vdb_iova_range *usable,
			  size_t nr, const struct vdb_iova_wish *wish)
{
	uint64_t iova;

	ck_assert(vdb_iova_find(space, usable, nr, wish, &iova));
	ck_assert_int_eq(vdb_iova_take(space, iova, wish->length, false), 0);
	return iova;
}

START_TEST(address_is_used_again_late)
{
	const struct vdb_iova_range usable = { PAGE, 9 * PAGE - 1 };
	struct vdb_iova_wish wish = wish_for(PAGE, PAGE);
	struct vdb_iova_space space = { 0 };

	for (uint64_t i = 1; i <= 8; i++) {
		uint64_t iova = must_take(&space, &usable, 1, &wish);

		ck_assert_uint_eq(iova, i * PAGE);
		vdb_iova_give(&space, iova);
	}
	ck_assert_uint_eq(must_take(&space, &usable, 1, &wish), PAGE);
	vdb_iova_free(&space);
}
END_TEST

START_TEST(range_that_is_full)
{
	const struct vdb_iova_range usable[] = { { PAGE, 3 * PAGE - 1 }, { 8 * PAGE, 9 * PAGE - 1 } };
	struct vdb_iova_wish one = wish_for(PAGE, PAGE), two = wish_for(2 * PAGE, PAGE);
	struct vdb_iova_space space = { 0 };
	uint64_t iova;

	ck_assert_uint_eq(must_take(&space, usable, 2, &two), PAGE);
	ck_assert(!vdb_iova_find(&space, usable, 2, &two, &iova));
	ck_assert_uint_eq(must_take(&space, usable, 2, &one), 8 * PAGE);
	ck_assert(!vdb_iova_find(&space, usable, 2, &one, &iova));
	ck_assert(!vdb_iova_find(&space, usable, 0, &one, &iova));
	vdb_iova_free(&space);
}
END_TEST

/* Nothing overflows at the very last address, and 64 bits are enough for it. */
START_TEST(last_addresses)
{
	const struct vdb_iova_range top = { UINT64_MAX - 4 * PAGE + 1, UINT64_MAX };
	struct vdb_iova_wish wish = wish_for(2 * PAGE, PAGE);
	struct vdb_iova_space space = { 0 };
	uint64_t iova;

	ck_assert_uint_eq(must_take(&space, &top, 1, &wish), top.first);
	ck_assert_uint_eq(must_take(&space, &top, 1, &wish), UINT64_MAX - 2 * PAGE + 1);
	ck_assert(!vdb_iova_find(&space, &top, 1, &wish, &iova));
	vdb_iova_give(&space, top.first);
	ck_assert_uint_eq(must_take(&space, &top, 1, &wish), top.first);
	/* Aligned up, it would be 2^64. */
	wish.align = 1ULL << 63;
	ck_assert(!vdb_iova_find(&space, &(struct vdb_iova_range){ 3ULL << 62, UINT64_MAX }, 1, &wish, &iova));
	ck_assert(vdb_iova_find(&space, &everything, 1, &wish, &iova));
	ck_assert_uint_eq(iova % wish.align, 0);
	errno = 0;
	ck_assert_int_eq(vdb_iova_take(&space, UINT64_MAX - PAGE + 1, 2 * PAGE, false), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(vdb_iova_take(&space, PAGE, 0, false), -1);
	ck_assert_int_eq(errno, EINVAL);
	vdb_iova_free(&space);
}
END_TEST

START_TEST(all_of_the_space)
{
	struct vdb_iova_wish wish = wish_for(UINT64_MAX, 1);
	struct vdb_iova_space space = { 0 };
	uint64_t iova;

	ck_assert_uint_eq(must_take(&space, &everything, 1, &wish), 0);
	wish.length = 2;
	ck_assert(!vdb_iova_find(&space, &everything, 1, &wish, &iova));
	wish.length = 1;
	ck_assert_uint_eq(must_take(&space, &everything, 1, &wish), UINT64_MAX);
	vdb_iova_free(&space);
}
END_TEST

START_TEST(foreign_ranges_are_not_ours)
{
	struct vdb_iova_space space = { 0 };

	ck_assert_int_eq(vdb_iova_take(&space, PAGE, PAGE, true), 0);
	ck_assert(!vdb_iova_has(&space, PAGE, PAGE));
	errno = 0;
	ck_assert_int_eq(vdb_iova_take(&space, PAGE, PAGE, false), -1);
	ck_assert_int_eq(errno, EEXIST);
	vdb_iova_free(&space);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("iova");
	TCase *tc = add_group(s, "random");

	tcase_add_loop_test(tc, random_sequences, 0, 40);

	tc = add_group(s, "places");
	tcase_add_test(tc, address_is_used_again_late);
	tcase_add_test(tc, range_that_is_full);
	tcase_add_test(tc, last_addresses);
	tcase_add_test(tc, all_of_the_space);
	tcase_add_test(tc, foreign_ranges_are_not_ours);
	return s;
}
