// SPDX-License-Identifier: MIT
/*
 * The file of the state: whole whenever the process dies, damage is seen, its
 * size is bounded, and what a save costs does not grow with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "state/checksum.h"
#include "state/ledger.h"
#include "state/model.h"
#include "suite.h"

#define COMMIT		8	/* offset of the commit word */
#define COMMIT_END	16
#define HEADER		64

static struct model model, before;

static size_t size_of_file(const struct state *state)
{
	struct stat st;

	ck_assert_works(fstat(state_fd(state), &st));
	return st.st_size;
}

static uint8_t *contents(const struct state *state)
{
	size_t size = size_of_file(state);
	uint8_t *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(pread(state_fd(state), bytes, size, 0), size);
	return bytes;
}

/* A file of its own with these bytes, to be damaged. */
static uint8_t *victim(const uint8_t *bytes, size_t size, int *fd)
{
	uint8_t *map;

	*fd = memfd_create("victim", MFD_CLOEXEC);
	ck_assert_int_ge(*fd, 0);
	ck_assert_int_eq(pwrite(*fd, bytes, size, 0), size);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	ck_assert(map != MAP_FAILED);
	return map;
}

/* -1: damaged. */
static int compare(int fd, const struct model *expected)
{
	struct saved saved;
	int copy = dup(fd);
	struct state *state = state_load(copy, &saved);
	int equal;

	if (!state) {
		ck_assert_int_eq(errno, EBADMSG);
		close(copy);
		return -1;
	}
	equal = model_equals(expected, &saved);
	saved_free(&saved);
	state_free(state);
	return equal;
}

/* Those bytes of one step that are written before it is committed, one after the other. */
static void check_each_prefix(const uint8_t *old, const uint8_t *new, size_t size)
{
	uint8_t *map;
	int fd;

	map = victim(old, size, &fd);
	for (size_t i = 0; i < size; i++) {
		if (old[i] == new[i] || (i >= COMMIT && i < COMMIT_END))
			continue;
		map[i] = new[i];
		ck_assert_int_eq(compare(fd, &before), 1);
	}
	/* And in any other order, as processors store. */
	memcpy(map, old, size);
	for (size_t i = 0; i < size; i++)
		if ((i < COMMIT || i >= COMMIT_END) && chance_below(2))
			map[i] = new[i];
	ck_assert_int_eq(compare(fd, &before), 1);
	memcpy(map, new, size);
	ck_assert_int_eq(compare(fd, &model), 1);
	munmap(map, size);
	close(fd);
}

START_TEST(death_at_every_byte)
{
	struct state *state = state_new();
	uint64_t begin = 0;
	int moved = 0;

	chance_start();
	save_start(state, model.start = 1);
	for (int i = 0; i < 10 || moved < 2; i++) {
		uint8_t *old, *new;
		uint64_t now;

		model_copy(&before, &model);
		old = contents(state);
		random_step(state, &model, 3);
		new = contents(state);
		memcpy(&now, new + COMMIT, sizeof(now));
		/* All of some, and those that move the log to the other half. */
		now = now >> 24 & 0xffffff;
		moved += now != begin;
		if (i < 10 || now != begin)
			check_each_prefix(old, new, size_of_file(state));
		begin = now;
		free(old);
		free(new);
	}
	state_free(state);
}
END_TEST

static size_t end_of(const uint8_t *map)
{
	uint64_t word;

	memcpy(&word, map + COMMIT, sizeof(word));
	return (word & 0xffffff) * 8;
}

/*
 * Another process saves, one instruction after the other.  Whenever the file has
 * changed, it has the state before, and from some time on the one after.
 */
static void watch_step(const struct state *state, const struct effect *effect, int fd)
{
	size_t size = size_of_file(state);
	uint8_t *seen = contents(state), *map;
	bool after = false;
	int status, changes = 0;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(state_save((struct state *)state, effect) ? 1 : 0);
	}
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert(map != MAP_FAILED);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	while (WIFSTOPPED(status)) {
		if (memcmp(map, seen, size)) {
			int is_before = compare(fd, &before), is_after = compare(fd, &model);

			memcpy(seen, map, size);
			ck_assert(after ? is_after == 1 : is_before == 1 || is_after == 1);
			after |= is_after == 1;
			changes++;
		}
		ck_assert_works(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL));
		ck_assert_int_eq(waitpid(child, &status, 0), child);
	}
	ck_assert_msg(status == 0, "status %#x", status);
	ck_assert(after);
	ck_assert_int_gt(changes, 3);
	munmap(map, size);
	free(seen);
}

/* What the watched process has written, this one does once more. */
static void watch_both(struct state *state, size_t i)
{
	struct effect save = { .type = EFFECT_SAVE_LEASE, .saved_lease = &model.leases[i] };

	model_copy(&before, &model);
	change_lease(&model.leases[i]);
	watch_step(state, &save, state_fd(state));
	ck_assert_works(state_save(state, &save));
}

START_TEST(death_at_every_instruction)
{
	struct state *state = state_new();
	uint8_t *map = mmap(NULL, HEADER, PROT_READ, MAP_SHARED, state_fd(state), 0);
	struct lease_record *lease = model.leases;

	chance_start();
	save_start(state, model.start = 1);
	for (model.nr_leases = 0; model.nr_leases < 3; model.nr_leases++) {
		lease[model.nr_leases] = random_lease(model.nr_leases + 1);
		lease[model.nr_leases].actions.nr = 0;
		memset(lease[model.nr_leases].actions.writes, 0, sizeof(lease->actions.writes));
		save_lease(state, &lease[model.nr_leases]);
	}
	watch_both(state, 1);
	/* And one that moves the log to the other half. */
	do {
		change_lease(&lease[2]);
		save_lease(state, &lease[2]);
	} while (end_of(map) < HEADER + 65536 - 400);
	for (int i = 0; end_of(map) < HEADER + 65536; i++) {
		ck_assert_int_lt(i, 10);
		watch_both(state, 0);
	}
	munmap(map, HEADER);
	state_free(state);
}
END_TEST

/* It has more memory already, and does not use it yet. */
START_TEST(death_while_growing)
{
	struct state *state = state_new(), *next;
	struct saved saved;
	uint8_t *map;

	chance_start();
	save_start(state, model.start = 1);
	for (int i = 0; i < 20; i++) {
		size_t size = size_of_file(state);

		for (int j = 0; j < 50; j++)
			random_step(state, &model, 20);
		/* It grows while the log is in the first half only. */
		map = mmap(NULL, HEADER, PROT_READ, MAP_SHARED, state_fd(state), 0);
		ck_assert(map != MAP_FAILED);
		while (end_of(map) > HEADER + (size - HEADER) / 2)
			random_step(state, &model, 20);
		munmap(map, HEADER);
		size += 16 * chance_below(9999);
		ck_assert_works(fallocate(state_fd(state), 0, 0, size));
		next = load_again(state, &saved);
		ck_assert_ptr_nonnull(next);
		ck_assert(model_equals(&model, &saved));
		saved_free(&saved);
		state_free(state);
		state = next;
	}
	state_free(state);
}
END_TEST

static void damage(uint8_t *map, size_t at, uint8_t mask, int fd)
{
	int result;

	map[at] ^= mask;
	result = compare(fd, &model);
	/* Either it is detected as damaged, or it is unchanged. */
	ck_assert_msg(result != 0, "byte %zu ^ %#x is another state", at, mask);
	map[at] ^= mask;
}

START_TEST(damage_of_every_byte)
{
	struct state *state = state_new();
	size_t size = size_of_file(state), end;
	uint8_t *bytes, *map;
	int fd;

	chance_start();
	save_start(state, model.start = 1);
	for (int i = 0; i < 12; i++)
		random_step(state, &model, 4);
	bytes = contents(state);
	map = victim(bytes, size, &fd);
	end = end_of(bytes);
	ck_assert_uint_gt(end, HEADER + 500);
	for (size_t i = 0; i < end; i++)
		for (int bit = 0; bit < 8; bit++)
			damage(map, i, 1 << bit, fd);
	for (size_t i = COMMIT; i < COMMIT_END; i++)
		for (int mask = 1; mask < 256; mask++)
			damage(map, i, mask, fd);
	for (size_t i = 0; i < 1000; i++)
		damage(map, chance_below(size), 1 + chance_below(255), fd);
	ck_assert_int_eq(compare(fd, &model), 1);
	/* Of the commit word, each byte matters. */
	for (size_t i = COMMIT; i < COMMIT_END; i++) {
		map[i] ^= 1;
		ck_assert_int_eq(compare(fd, &model), -1);
		map[i] ^= 1;
	}
	munmap(map, size);
	/* And of another length. */
	for (int i = 0; i < 1000; i++) {
		size_t length = i < 200 ? (size_t)i : chance_below(size);

		ck_assert_works(ftruncate(fd, length));
		ck_assert_int_eq(compare(fd, &model), -1);
	}
	close(fd);
	free(bytes);
	state_free(state);
}
END_TEST

/* As in ledger.c, so that changed bytes get past the checksum. */
static void set_commit(uint8_t *map, uint64_t begin, uint64_t end)
{
	uint64_t word = begin / 8 << 24 | end / 8;

	word |= checksum_of_word(word) << 48;
	memcpy(map + COMMIT, &word, sizeof(word));
}

START_TEST(nonsense_in_the_header)
{
	struct state *state = state_new();
	size_t size = size_of_file(state), half = (size - HEADER) / 2, end, first;
	uint8_t *bytes, *map;
	uint32_t length;
	int fd;

	chance_start();
	save_start(state, model.start = 1);
	random_step(state, &model, 4);
	bytes = contents(state);
	map = victim(bytes, size, &fd);
	end = end_of(map);
	memcpy(&length, map + HEADER, sizeof(length));
	first = (8 + length + 7) / 8 * 8;
	set_commit(map, HEADER, end);
	ck_assert_int_eq(compare(fd, &model), 1);
	/* A log that begins with its second record, or ends before it begins. */
	set_commit(map, HEADER + first, end);
	ck_assert_int_eq(compare(fd, &model), -1);
	set_commit(map, HEADER + half, end);
	ck_assert_int_eq(compare(fd, &model), -1);
	/* One that ends outside its half, or outside the file. */
	set_commit(map, HEADER, HEADER + half + 8);
	ck_assert_int_eq(compare(fd, &model), -1);
	memcpy(map + HEADER + half, map + HEADER, end - HEADER);
	/* So long that its sum is not of mapped memory. */
	length = 0xffffff * 8 - (HEADER + half) - 8;
	memcpy(map + HEADER + half, &length, sizeof(length));
	set_commit(map, HEADER + half, 0xffffff * 8);
	ck_assert_int_eq(compare(fd, &model), -1);
	set_commit(map, HEADER, end);
	munmap(map, size);
	/* Halves that are not aligned, or differ. */
	for (int more = 1; more < 16; more++) {
		ck_assert_works(ftruncate(fd, size + more));
		ck_assert_int_eq(compare(fd, &model), -1);
	}
	ck_assert_works(ftruncate(fd, size + 16));
	ck_assert_int_eq(compare(fd, &model), 1);
	/* More than a commit word can hold. */
	ck_assert_works(ftruncate(fd, (8 << 24) + HEADER));
	ck_assert_int_eq(compare(fd, &model), -1);
	close(fd);
	free(bytes);
	state_free(state);
}
END_TEST

/* What the file may have, if the leases are as large as they can be. */
static size_t bound(size_t leases)
{
	size_t live = leases * 2048 + 64 * 128;

	return HEADER + 2 * (live * 8 > 65536 ? live * 8 : 65536);
}

START_TEST(size_under_churn)
{
	struct state *state = state_new();
	size_t at_most = 0;

	chance_start();
	save_start(state, model.start = 1);
	for (int i = 0; i < 100000; i++) {
		random_step(state, &model, 40);
		if (size_of_file(state) > at_most)
			at_most = size_of_file(state);
		if (i % 10000 == 0)
			check_state(state, &model);
	}
	check_state(state, &model);
	ck_assert_uint_le(at_most, bound(41));
	state_free(state);
}
END_TEST

START_TEST(growing_and_shrinking)
{
	struct state *state = state_new();
	size_t least = size_of_file(state), most;
	struct stat st;

	chance_start();
	save_start(state, model.start = 1);
	for (int round = 0; round < 2; round++) {
		while (model.nr_leases < 2000) {
			struct lease_record *lease = &model.leases[model.nr_leases++];

			*lease = random_lease(model.nr_leases);
			ck_assert_works(state_reserve(state, 1));
			save_lease(state, lease);
			save_lease(state, lease);
			if (model.nr_leases % 500 == 0)
				check_state(state, &model);
		}
		most = size_of_file(state);
		ck_assert_uint_gt(most, 4 * least);
		/* All of it is there already: a store cannot fail. */
		ck_assert_works(fstat(state_fd(state), &st));
		ck_assert_uint_ge(st.st_blocks * 512ULL, most);
		ck_assert_uint_le(most, bound(2001));
		while (model.nr_leases) {
			ck_assert_works(state_reserve(state, 1));
			forget_lease(state, model.leases[--model.nr_leases].id);
			if (model.nr_leases % 500 == 0)
				check_state(state, &model);
		}
		ck_assert_uint_lt(size_of_file(state), most / 4);
		check_state(state, &model);
	}
	ck_assert_uint_eq(size_of_file(state), least);
	state_free(state);
}
END_TEST

/* As small as it can be, and then as large as the core may make it. */
static void inflate(struct lease_record *lease, bool large)
{
	uint64_t wide = large ? UINT64_MAX : 0;
	uint32_t narrow = large ? UINT32_MAX : 0;

	lease->phase = LEASE_GRANTED;
	lease->end = END_NONE;
	lease->client = lease->serial = lease->asker = lease->asker_serial = wide;
	lease->buffer = lease->expires = lease->wait_until = wide;
	lease->seconds = lease->max_seconds = narrow;
	lease->index = 0;
	lease->offset = large ? 1ULL << 40 : 0;
}

static void strings_of(struct lease_record *lease, bool large)
{
	memset(lease->slice, 0, sizeof(lease->slice));
	memset(lease->bdf, 0, sizeof(lease->bdf));
	memset(lease->slice, 's', large ? sizeof(lease->slice) - 1 : 1);
	memset(lease->bdf, 'b', large ? sizeof(lease->bdf) - 1 : 1);
}

/*
 * Without memory, new records are refused, and existing ones can change any number of
 * times.
 */
START_TEST(no_memory)
{
	struct state *state = state_new();
	struct rlimit limit;

	chance_start();
	save_start(state, model.start = 1);
	signal(SIGXFSZ, SIG_IGN);
	limit.rlim_cur = limit.rlim_max = size_of_file(state) * 3;
	ck_assert_works(setrlimit(RLIMIT_FSIZE, &limit));
	while (!state_reserve(state, 1)) {
		struct lease_record *lease = &model.leases[model.nr_leases++];

		ck_assert_uint_lt(model.nr_leases, MODEL_MAX);
		*lease = random_lease(model.nr_leases);
		strings_of(lease, _i);
		lease->actions.nr = 0;
		memset(lease->actions.writes, 0, sizeof(lease->actions.writes));
		lease->wanted = 0;
		inflate(lease, false);
		save_lease(state, lease);
	}
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_uint_gt(model.nr_leases, 100);
	for (int round = 0; round < 20; round++)
		for (size_t i = 0; i < model.nr_leases; i++) {
			inflate(&model.leases[i], round < 10 || i % 2);
			save_lease(state, &model.leases[i]);
		}
	check_state(state, &model);
	ck_assert_int_eq(state_reserve(state, 1), -1);
	while (model.nr_leases > 10)
		forget_lease(state, model.leases[--model.nr_leases].id);
	check_state(state, &model);
	ck_assert_int_eq(state_reserve(state, 1), 0);
	state_free(state);
}
END_TEST

/* More than was reserved is refused, and nothing is written outside the half. */
START_TEST(what_was_not_reserved)
{
	struct state *state = state_new();
	struct lease_record lease;
	int refused = 0;

	chance_start();
	save_start(state, model.start = 1);
	for (int i = 0; i < 1000; i++) {
		lease = random_lease(i + 1);
		if (state_save(state, &(struct effect){ EFFECT_SAVE_LEASE, .saved_lease = &lease })) {
			ck_assert_int_eq(errno, ENOSPC);
			refused++;
		} else {
			model.leases[model.nr_leases++] = lease;
		}
	}
	ck_assert_int_gt(refused, 0);
	check_state(state, &model);
	state_free(state);
}
END_TEST

/* Every system call but read(), write() and exit() ends the process. */
START_TEST(no_system_call)
{
	struct state *state = state_new();
	int status;
	pid_t child;

	chance_start();
	save_start(state, model.start = 1);
	for (int i = 0; i < 50; i++) {
		model.leases[i] = random_lease(i + 1);
		ck_assert_works(state_reserve(state, 1));
		save_lease(state, &model.leases[i]);
	}
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		int failed = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);

		/* Long enough to move to the other half often. */
		for (int i = 0; i < 5000 && !failed; i++) {
			struct lease_record *lease = &model.leases[i % 50];
			struct effect save = { EFFECT_SAVE_LEASE, .saved_lease = lease };
			struct effect forget = { EFFECT_FORGET_LEASE, .lease = lease->id };

			change_lease(lease);
			failed = state_save(state, &save) || state_save(state, &forget) ||
				 state_save(state, &save);
		}
		syscall(SYS_exit, failed ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "status %#x", status);
	state_free(state);
}
END_TEST

/* Nanoseconds that a save takes while there are @leases; the least of some rounds. */
static uint64_t cost(size_t leases)
{
	struct state *state = state_new();
	uint64_t least = UINT64_MAX;

	save_start(state, 1);
	for (size_t i = 0; i < leases; i++) {
		chance_seed(1);
		ck_assert_works(state_reserve(state, 1));
		model.leases[i] = random_lease(i + 1);
		save_lease(state, &model.leases[i]);
	}
	for (int round = 0; round < 3; round++) {
		struct timespec from, to;
		uint64_t took;

		clock_gettime(CLOCK_MONOTONIC, &from);
		/* Enough to move to the other half. */
		for (size_t i = 0; i < 8000; i++) {
			struct lease_record *lease = &model.leases[i * 1021 % leases];

			/* As a cycle does: exporting, granted, ending, forgotten. */
			lease->phase = 2 + i / 2 % 3;
			save_lease(state, lease);
		}
		clock_gettime(CLOCK_MONOTONIC, &to);
		took = (to.tv_sec - from.tv_sec) * 1000000000ULL + to.tv_nsec - from.tv_nsec;
		if (took / 8000 < least)
			least = took / 8000;
	}
	state_free(state);
	return least;
}

START_TEST(cost_of_a_save)
{
	uint64_t alone = cost(1), among = cost(4000);

	fprintf(stderr, "a save takes %llu ns with 1 lease, %llu ns with 4,000\n",
		(unsigned long long)alone, (unsigned long long)among);
	/* All of the state would be thousands of times as much. */
	ck_assert_uint_lt(among, 10 * alone);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker-ledger");
	TCase *tc = add_group(s, "ledger");

	tcase_add_test(tc, death_at_every_byte);
	tcase_add_test(tc, death_at_every_instruction);
	tcase_add_test(tc, death_while_growing);
	tcase_add_test(tc, damage_of_every_byte);
	tcase_add_test(tc, nonsense_in_the_header);
	tcase_add_test(tc, size_under_churn);
	tcase_add_test(tc, growing_and_shrinking);
	tcase_add_loop_test(tc, no_memory, 0, 2);
	tcase_add_test(tc, what_was_not_reserved);
	tcase_add_test(tc, no_system_call);
	tcase_add_test(tc, cost_of_a_save);
	return s;
}
