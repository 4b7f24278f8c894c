// SPDX-License-Identifier: MIT
/* The state that outlives the broker is whole, whenever that dies. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state.h"
#include "suite.h"

static struct state *fill(uint32_t leases)
{
	struct state *state = state_new();

	ck_assert_ptr_nonnull(state);
	state->data.next_id = 77;
	state->data.nr_leases = leases;
	for (uint32_t i = 0; i < leases; i++) {
		state->data.leases[i].id = i + 1;
		strcpy(state->data.leases[i].slice, "a/b");
	}
	state_save(state);
	return state;
}

/* As the next process gets it: another mapping of the same file. */
static struct state *reload(const struct state *state)
{
	return state_load(dup(state->fd));
}

START_TEST(what_was_saved_comes_back)
{
	struct state *state = fill(3), *next = reload(state);

	ck_assert_ptr_nonnull(next);
	ck_assert_uint_eq(next->data.next_id, 77);
	ck_assert_uint_eq(next->data.nr_leases, 3);
	ck_assert_uint_eq(next->data.leases[2].id, 3);
	ck_assert_str_eq(next->data.leases[2].slice, "a/b");
	for (int i = 0; i < 5; i++) {
		next->data.next_id++;
		state_save(next);
	}
	state_free(state);
	state = reload(next);
	ck_assert_uint_eq(state->data.next_id, 82);
	state_free(state);
	state_free(next);
}
END_TEST

START_TEST(most_that_it_can_hold)
{
	struct state *state = fill(STATE_MAX_LEASES), *next = reload(state);

	ck_assert_uint_eq(next->data.leases[STATE_MAX_LEASES - 1].id, STATE_MAX_LEASES);
	state_free(state);
	state_free(next);
}
END_TEST

/*
 * A save that is cut off anywhere: all but the first n bytes that it changed are
 * put back.  What is loaded is the state before, or the one after, never a mix.
 */
START_TEST(save_that_was_cut_off)
{
	struct state *state = fill(2);
	struct stat st;
	char *before, *after, *now;
	size_t changed = 0, *where;

	ck_assert_works(fstat(state->fd, &st));
	before = malloc(st.st_size);
	after = malloc(st.st_size);
	where = malloc(st.st_size * sizeof(*where));
	now = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, state->fd, 0);
	memcpy(before, now, st.st_size);
	state->data.next_id = 78;
	state->data.nr_leases = 1;
	state_save(state);
	memcpy(after, now, st.st_size);
	for (long i = 0; i < st.st_size; i++)
		if (before[i] != after[i])
			where[changed++] = i;
	ck_assert_uint_gt(changed, 8);

	for (size_t n = 0; n <= changed; n++) {
		struct state *next;

		memcpy(now, before, st.st_size);
		for (size_t i = 0; i < n; i++)
			now[where[_i ? changed - 1 - i : i]] = after[where[_i ? changed - 1 - i : i]];
		next = reload(state);
		ck_assert_ptr_nonnull(next);
		if (next->data.next_id == 78)
			ck_assert_uint_eq(next->data.nr_leases, 1);
		else
			ck_assert(next->data.next_id == 77 && next->data.nr_leases == 2);
		ck_assert(n != changed || next->data.next_id == 78);
		state_free(next);
	}
	state_free(state);
	munmap(now, st.st_size);
	free(before);
	free(after);
	free(where);
}
END_TEST

START_TEST(what_is_no_state)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	struct state *state = fill(1);
	struct stat st;
	uint32_t wrong = 9;

	ck_assert_ptr_null(state_load(fd));
	ck_assert_works(fstat(state->fd, &st));
	ck_assert_works(ftruncate(fd, st.st_size));
	ck_assert_ptr_null(state_load(fd));
	close(fd);
	/* Another version's. */
	ck_assert_int_eq(pwrite(state->fd, &wrong, 4, 4), 4);
	fd = dup(state->fd);
	ck_assert_ptr_null(state_load(fd));
	close(fd);
	state_free(state);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("state");
	TCase *tc = add_group(s, "state");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_was_saved_comes_back);
	tcase_add_test(tc, most_that_it_can_hold);
	tcase_add_loop_test(tc, save_that_was_cut_off, 0, 2);
	tcase_add_test(tc, what_is_no_state);
	return s;
}
